package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// made is the prefix of tags that are made here.
const made = "~"

// maxTag is the length of the longest tag that is kept as it is, in bytes.
const maxTag = 512

// Tag returns the entity tag of an object from what the store sends as one. Tags
// are opaque: a strong tag is returned without its quotes, any other as it is (a
// weak one as `W/"abc"`), and a very long one as its digest. If the store
// sends none, the tag is made of time and size; without a time either, Tag
// returns ErrUnavailable, since nothing could tell two versions apart.
func Tag(sent string, size int64, modified time.Time) (string, error) {
	tag := unquote(strings.TrimSpace(sent))
	switch {
	case tag == "" || tag == "W/" || tag == `W/""`:
		if modified.IsZero() {
			return "", unreadable("neither an entity tag nor a time of modification")
		}
		return fmt.Sprintf("%s%d-%d", made, modified.Unix(), size), nil
	case len(tag) > maxTag:
		sum := sha256.Sum256([]byte(tag))
		return made + hex.EncodeToString(sum[:]), nil
	}
	return tag, nil
}

// unquote removes the quotes of a strong tag. A tag with a quote inside is kept.
func unquote(tag string) string {
	if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' && !strings.Contains(tag[1:len(tag)-1], `"`) {
		return tag[1 : len(tag)-1]
	}
	return tag
}

// Condition returns a tag as the value of an If-Match header; nil if the store
// cannot compare it: a weak tag never matches there (RFC 9110, 13.1.1), one
// that was made here is unknown to it, and one with other bytes than a strong tag
// may have would be refused, or end the header. Then the tag of the response must
// be compared by [SameVersion].
func Condition(tag string) *string {
	if tag == "" || strings.HasPrefix(tag, made) || isWeak(tag) {
		return nil
	}
	for _, c := range []byte(tag) {
		if c <= ' ' || c == '"' || c >= 0x7f {
			return nil
		}
	}
	value := `"` + tag + `"`
	return &value
}

func isWeak(tag string) bool { return strings.HasPrefix(tag, "W/") }

// SameVersion reports whether two tags name one version. A store or a proxy may
// send one tag as weak and as strong, so their opaque parts are compared.
func SameVersion(a, b string) bool { return a == b || opaque(a) == opaque(b) }

func opaque(tag string) string { return unquote(strings.TrimPrefix(tag, "W/")) }

// PartTag returns the tag of a part of an upload, which is sent back as it is.
func PartTag(sent string) (string, error) {
	if tag := unquote(sent); tag != "" {
		return tag, nil
	}
	return "", unreadable("the part has no entity tag")
}

// QuotePart returns the tag of a part as the store sent it.
func QuotePart(tag string) string {
	if isWeak(tag) || strings.Contains(tag, `"`) {
		return tag
	}
	return `"` + tag + `"`
}

// Uncomparable returns the error for a condition on a tag that the store cannot
// compare.
func Uncomparable(tag string) error {
	return fmt.Errorf("the store cannot compare the tag %.100q: %w", tag, ufs.ErrUnsupported)
}

// CheckSource returns an error unless a copy of a source with the tag have can be
// limited to the version want; an empty want is any version.
func CheckSource(want, have string) error {
	switch {
	case want == "":
		return nil
	case !SameVersion(want, have):
		return Replaced(want, have)
	case Condition(have) == nil:
		return Uncomparable(have)
	}
	return nil
}
