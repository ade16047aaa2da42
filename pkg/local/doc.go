// Package local runs a plan on one Linux machine. It is the second executor
// beside Kubernetes. It reads no manifests and prints nothing: it runs what
// pkg/plan made.
//
// # Processes
//
// Up starts one supervisor process for each runtime, which outlives the command.
// The supervisor starts masters, workers and the FUSE server as its children,
// restarts those that end, holds the FUSE session (so that the server may be
// killed under open files), applies the plan's mounts through the masters and
// records its state in state.json. A second process, the orphan reaper, waits at
// one end of a pipe and acts only when the supervisor has died.
//
// # Guarantees
//
//   - Only the holder of the supervisor's lock file may change a state directory,
//     including the removal of leftovers.
//   - Children have PR_SET_PDEATHSIG, so a killed supervisor leaves no component;
//     the orphan reaper then removes mount, sockets and secrets. If both are
//     killed, the next Up or Down does. Data is kept until Down with purge.
//   - A process is ended only if its pid, its start time and the boot match
//     state.json, never by name.
//   - formation.json is separate from the masters' disks: formed becomes true once
//     every master of the plan votes, and never false again, so that a master with
//     an empty disk never forms a second cluster.
//   - A runtime keeps its network (127.x.y.0/24) after formation, because the
//     masters' log contains their addresses. The network is held by an abstract
//     unix socket, which has the scope of the addresses: the network namespace.
//   - The supervisor never opens a file on the mount that it holds, since it would
//     wait for a server that only it can start.
package local
