// Package node implements the CSI node plugin, the only component that mounts.
//
// A dataset volume is a bind mount of the runtime's shared FUSE mount on this
// node. The plugin creates that mount on first use and hands it off to the FUSE
// server of the runtime on this node; the volume is published once the server has
// replied to FUSE_INIT. An inline volume connects a FUSE server with this plugin,
// or workers with FUSE servers. The kubelet vouches for the identity of its pod.
//
// A pod with a FUSE sidecar has a mount of its own, created at the target before
// it has a server: containers start after all volumes are published, the sidecar
// first. The sidecar's inline volume has one directory for each dataset with
// everything that the sidecar needs. Neither the node label nor the runtime's own
// FUSE server is required.
//
// Guarantees:
//
//   - Publish and unpublish are idempotent, and cheap if there is nothing to do.
//   - No call blocks on a FUSE file system without a server.
//   - Published volumes are recorded on the node's disk, and a restarted plugin
//     takes them over.
//   - A valid publish request that fails returns Unavailable, so that the kubelet
//     retries and eventually unpublishes.
package node
