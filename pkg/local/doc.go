// Package local runs a plan on one Linux machine: the second executor beside
// Kubernetes. It knows no manifests and no screens; it takes what pkg/plan
// made and keeps it running.
//
// # What runs
//
// Up starts one supervisor process a runtime, which outlives the command. The
// supervisor starts masters, workers and the FUSE server as its children,
// starts again what dies, holds the FUSE session (so that the server may be
// killed under open files), applies the plan's mounts through the masters and
// writes what it knows into state.json. Beside it runs a guard, which holds one
// end of a pipe to it and does nothing until that pipe breaks.
//
// # What it promises
//
//   - The supervisor's lock file is the only truth about who may change a
//     state directory. Everything that removes leftovers holds it.
//   - Children carry PR_SET_PDEATHSIG, so a killed supervisor leaves no
//     component; the guard then removes mount, sockets and secrets. If both are
//     killed, the next Up or Down does. Data stays until Down is told to purge.
//   - A process is ended only when its pid, its start time and the boot are
//     those in state.json. Nothing is ever ended by name.
//   - formation.json is kept outside the masters' disks: formed becomes true
//     once every master of the plan votes, and never false again, so that a
//     master with an empty disk never forms a second cluster.
//   - A runtime keeps its network (127.x.y.0/24) from formation on, because the
//     masters' log holds their addresses. The network is held by an abstract
//     unix socket, whose scope is exactly that of the addresses: the network
//     namespace.
//   - The supervisor never opens a file on the mount it feeds: it would wait
//     for a server that only it can start.
package local
