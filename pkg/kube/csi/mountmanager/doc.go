// Package mountmanager keeps one mount of a runtime on a node: the one that all pods
// share, or a pod's own. It mounts once, however often it is asked, gives
// duplicates of what it holds to the keeper, lends the mount to the FUSE server
// whose volume it was told of, and ends what nobody can answer any more. A mount
// that ended is made anew by the next Ensure.
package mountmanager
