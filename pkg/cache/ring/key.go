package ring

import "strconv"

// ObjectKey returns the key that places a stripe of one version of an object.
// The version is part of it, so that a replaced object does not depend on the
// load of the old version's owner.
func ObjectKey(mount, key, etag string, size, stripe int64) string {
	b := make([]byte, 0, len(mount)+len(key)+len(etag)+64)
	b = append(b, 'o')
	b = appendField(b, mount)
	b = appendField(b, key)
	b = appendField(b, etag)
	b = strconv.AppendInt(b, size, 10)
	b = append(b, ':')
	b = strconv.AppendInt(b, stripe, 10)
	return string(b)
}

// DirectoryKey returns the key that places a directory's listing. The directory
// is relative to the mount's root, without leading and trailing slashes.
func DirectoryKey(mount, directory string) string {
	b := make([]byte, 0, len(mount)+len(directory)+16)
	b = append(b, 'd')
	b = appendField(b, mount)
	b = appendField(b, directory)
	return string(b)
}

// appendField appends a field with its length, so that different lists of fields
// yield different keys.
func appendField(b []byte, field string) []byte {
	b = strconv.AppendInt(b, int64(len(field)), 10)
	b = append(b, ':')
	return append(b, field...)
}
