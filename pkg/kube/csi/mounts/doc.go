// Package mounts mounts and unmounts file systems for the node plugin. It never
// blocks on a FUSE file system without a server: it inspects mounts through
// mountinfo, and runs operations that access a file system in a goroutine that is
// abandoned at a deadline.
package mounts
