// Package mounts mounts and unmounts for the node plugin without ever waiting
// for a file system that nobody serves: it reads the kernel's list instead of
// asking the mount, and what has to touch one is done aside and abandoned at a
// deadline.
package mounts
