// Package node is the CSI node plugin: the only part of the product that mounts.
//
// A volume with a runtime's files is a bind of the runtime's one mount on this
// node, which is made at first use and lent to the FUSE server that has come
// here; nobody sees it before that server has answered the kernel. An inline
// volume is the meeting place of a FUSE server with this plugin, or of workers
// with FUSE servers: the kubelet vouches for whose it is.
//
// A pod that brings its own FUSE server has a mount of its own, made at the
// target before anybody serves it: containers start when all volumes are
// published, its server first. What it needs is in its inline volume, a folder a
// dataset; no node label, and no server of the runtime's own, is needed.
//
// What callers may rely on: publish and unpublish may be repeated at any time and
// cost little when nothing is to be done; no call waits for a file system that
// nobody serves; everything published is on the node's disk, so a plugin that
// starts again goes on where the one before stopped; an error of publish after
// the request was found valid is Unavailable, after which the kubelet goes on
// trying and unpublishes in the end.
package node
