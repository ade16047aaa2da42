package wire

import (
	"net/url"
	"strings"
)

// ObjectsPath is the prefix of the URL path of every object.
const ObjectsPath = "/v1/objects/"

// ObjectPath returns the escaped URL path of an object.
func ObjectPath(mount, key string) string {
	segments := strings.Split(key, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return ObjectsPath + url.PathEscape(mount) + "/" + strings.Join(segments, "/")
}

// ParseObjectPath splits an escaped URL path into mount id and key, and reports
// whether it is the path of an object. Segments of the key may be empty.
func ParseObjectPath(path string) (mount, key string, ok bool) {
	rest, ok := strings.CutPrefix(path, ObjectsPath)
	if !ok {
		return "", "", false
	}
	segments := strings.Split(rest, "/")
	if len(segments) < 2 {
		return "", "", false
	}
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", "", false
		}
		segments[i] = plain
	}
	mount, key = segments[0], strings.Join(segments[1:], "/")
	if mount == "" || key == "" {
		return "", "", false
	}
	return mount, key, true
}

// objectURL returns the URL of an object on the worker at a host:port address.
func objectURL(address, mount, key string) *url.URL {
	return &url.URL{
		Scheme: "https", Host: address,
		Path: ObjectsPath + mount + "/" + key, RawPath: ObjectPath(mount, key),
	}
}
