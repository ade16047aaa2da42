package v1alpha1

import "slices"

// Access is what pods can do with the files of a mount.
type Access string

// Kinds of access, as commands print them.
const (
	AccessReadOnly  Access = "ro"
	AccessReadWrite Access = "rw"
)

// writesSupported is false while FUSE servers return EROFS for every write.
const writesSupported = false

// ServedAccess returns the access with which a mount is served. readOnly is what
// was requested for it: [DatasetSpec.ReadOnly], Mount.ReadOnly, or the field of
// the same name in the masters' mount table. The result may be less than what
// was requested, because writing is not supported yet; every program that shows
// the access of a mount must use this function.
func ServedAccess(readOnly bool) Access {
	if readOnly || !writesSupported {
		return AccessReadOnly
	}
	return AccessReadWrite
}

// ReadOnly reports whether the accessModes make the whole Dataset read-only:
// they are empty or contain ReadOnlyMany.
func (s *DatasetSpec) ReadOnly() bool {
	return len(s.AccessModes) == 0 || slices.Contains(s.AccessModes, "ReadOnlyMany")
}
