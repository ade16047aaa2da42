// Package mountmanager manages one FUSE mount of a runtime on a node: the mount
// that pods share, or the mount of one pod with a sidecar. A Manager mounts at
// most once, stores duplicates of the mount's descriptors in a descriptor store,
// hands the mount off to the FUSE server at a configured socket, and aborts a
// mount that has had no server for too long. After an abort the next Ensure mounts
// again.
package mountmanager
