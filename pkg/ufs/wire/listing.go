package wire

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// listing is the document of a page: ListBucketResult of S3's and OSS's second
// version.
type listing struct {
	encoding string
	prefix   *string
	// ends is set if the document has IsTruncated.
	ends      bool
	truncated bool
	token     string
	objects   []listedObject
	prefixes  []string
}

// listedObject is an object of a listing, as it was sent.
type listedObject struct{ key, size, etag, modified string }

// parseListing decodes the document.
func parseListing(body []byte) (listing, error) {
	var l listing
	var object listedObject
	err := readElements(body, "ListBucketResult", func(path []string, text string) error {
		switch {
		case len(path) == 2 && path[1] == "Contents":
			l.objects = append(l.objects, object)
			object = listedObject{}
		case len(path) == 2:
			return l.set(path[1], text)
		case len(path) == 3 && path[1] == "Contents":
			object.set(path[2], text)
		case len(path) == 3 && path[1] == "CommonPrefixes" && path[2] == "Prefix":
			l.prefixes = append(l.prefixes, text)
		}
		return nil
	})
	if err != nil {
		return listing{}, unreadable("read the listing: %w", err)
	}
	return l, nil
}

func (l *listing) set(name, text string) error {
	switch name {
	case "EncodingType":
		l.encoding = text
	case "Prefix":
		l.prefix = &text
	case "NextContinuationToken":
		l.token = text
	case "IsTruncated":
		truncated, err := strconv.ParseBool(strings.TrimSpace(text))
		if err != nil {
			return errors.New("IsTruncated is neither true nor false")
		}
		l.ends, l.truncated = true, l.truncated || truncated
	}
	return nil
}

func (o *listedObject) set(name, text string) {
	switch name {
	case "Key":
		o.key = text
	case "Size":
		o.size = strings.TrimSpace(text)
	case "ETag":
		o.etag = text
	case "LastModified":
		o.modified = strings.TrimSpace(text)
	}
}

// decode returns a name as the store has it.
func (l *listing) decode(name string) (string, error) {
	switch l.encoding {
	case "":
		return name, nil
	case "url":
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return "", unreadable("the listing has a name with an invalid encoding: %w", err)
		}
		return plain, nil
	}
	return "", unreadable("the listing has the unknown encoding %.20q", l.encoding)
}

// ofPrefix reports whether the listing is that of a prefix, if it tells. Some
// stores do not encode the prefix when they encode the keys, and so cannot send
// what XML does not allow.
func (l *listing) ofPrefix(prefix string) bool {
	if l.prefix == nil || *l.prefix == "" || *l.prefix == prefix || strings.ContainsFunc(prefix, notXML) {
		return true
	}
	plain, err := l.decode(*l.prefix)
	return err == nil && plain == prefix
}

// notXML reports whether XML cannot hold a character as it is.
func notXML(c rune) bool { return c < ' ' || c == utf8.RuneError || c >= 0xfffe }

// object converts an object with a decoded key.
func (o listedObject) object(key string) (ufs.Object, error) {
	size, err := strconv.ParseInt(o.size, 10, 64)
	if err != nil || size < 0 {
		return ufs.Object{}, unreadable("the listing has %.200q with the size %.30q", key, o.size)
	}
	var modified time.Time
	if o.modified != "" {
		if modified, err = time.Parse(time.RFC3339, o.modified); err != nil {
			return ufs.Object{}, unreadable("the listing has %.200q with the time %.50q", key, o.modified)
		}
	}
	tag, err := Tag(o.etag, size, modified)
	return ufs.Object{Key: key, Size: size, ETag: tag, LastModified: modified}, err
}
