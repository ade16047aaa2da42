// Package owner marks directories with the runtime that they belong to, and
// removes only directories with that mark: it never deletes a cache directory
// of another runtime, or other files at the same place.
//
// It runs as root in directories that the kubelet created below a path of a user's
// choice. So it never follows a symbolic link, and [Claim] refuses a directory that
// is not where it should be, or that holds files of others.
package owner

// File is the name of the file with the mark: the uid of the runtime.
const File = ".jindo-runtime"

// Variable is the environment variable with the uid. Without it nothing is
// marked.
const Variable = "JINDO_OWNER_UID"

// PlacesVariable is the environment variable with the places of volumes on the node:
// DIRECTORY=PLACE, separated by commas, where the path on the node ends with PLACE,
// such as /var/lib/jindo=team/hadoop/jindofs/master.
const PlacesVariable = "JINDO_NODE_DIRECTORIES"

// Removal is the result of Remove.
type Removal struct {
	// Removed lists the removed directories.
	Removed []string
	// Kept lists the directories that do not have the uid as mark, each with
	// the reason.
	Kept []string
}
