// Makes room for a process that was just made.
#pragma once

namespace bailey {

// Where `pid`, a new process, waits for the processor that this one runs on, this one goes on with another, when its affinity
// has any; the affinity is afterwards what it was. Returns whether it went. What fails costs time and nothing else.
//
// A kernel starts a new process on an idle processor; one that packs the processors of a virtual machine (sched_vcpu_pack)
// mostly does not, and what was to be done at the same time is done one after the other. It is this process that goes and not
// the new one: a mask that was once set is the limit of a cpuset that grows later (Linux 6.2), and a sandbox may live long.
// Children that this one makes afterwards inherit that limit: not to be called where there will be some.
bool step_aside(int pid);

// Whether it is worth to step aside: this kernel packs, by its command line (Linux with sched_vcpu_pack; no other does), and no
// more processes want to run on this host than this one may have processors. If more do, to step aside is to wait elsewhere:
// with two others that spin on two processors a start takes a sixth longer by it.
bool should_step_aside();

}  // namespace bailey
