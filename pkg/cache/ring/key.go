package ring

import "strconv"

// ObjectKey is what a stripe of one version of an object is placed by. The
// version is part of it, so that a replaced object is not held back by the load
// of its old place.
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

// DirectoryKey is what a directory's listing is placed by. The directory is
// relative to the mount's root, without slashes at its ends.
func DirectoryKey(mount, directory string) string {
	b := make([]byte, 0, len(mount)+len(directory)+16)
	b = append(b, 'd')
	b = appendField(b, mount)
	b = appendField(b, directory)
	return string(b)
}

// appendField writes the length too, so that no two lists of fields run into
// one.
func appendField(b []byte, field string) []byte {
	b = strconv.AppendInt(b, int64(len(field)), 10)
	b = append(b, ':')
	return append(b, field...)
}
