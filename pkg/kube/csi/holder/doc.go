// Package holder keeps a runtime's mount on a node: it mounts once, however many
// pods use it, gives duplicates of what it holds to the keeper, lends the mount
// to the FUSE server whose volume it was told of, and ends what nobody can
// answer any more. A mount that ended is made anew by the next Ensure.
package holder
