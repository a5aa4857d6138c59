// HostFilter: what neither runsc nor the sentry, the gofer or anything below them may ask of the host, whoever tells them to.
//
// A workload in gVisor that is uid 0 inside is uid 0 of the host to the gofer. chmod 4755 on a read-write volume would leave a
// set-user-id file of the host's root there, where nosuid of our mount does not hold; mknod, a device. The native backend
// refuses both by its own filter; here the filter lies under gVisor, and the guest sees the same EPERM. runsc's own filters are
// added to it. openat2 keeps its mode where no filter can look: no build creates files with it.
#pragma once

namespace bailey::gvisor {

// For this process and all it will start, for good. 0 or an errno. Needs CAP_SYS_ADMIN (no_new_privs would take capabilities
// from runsc's own exec). Allocates nothing, may run between clone and exec.
int install_host_filter();

}  // namespace bailey::gvisor
