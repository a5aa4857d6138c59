// How readily the kernel's OOM killer takes this process (proc_pid_oom_score_adj(5)), -1000 to 1000; 0 when it cannot be read.
// Only CAP_SYS_RESOURCE may lower it, so a sandbox starts with this one or a higher one.
#pragma once

namespace bailey::host {

int own_oom_score();

}  // namespace bailey::host
