package snapshot

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// ErrRedacted is the error of a restoration from a redacted file.
var ErrRedacted = errors.New("the snapshot is redacted: its names, ids and addresses were replaced for diagnosis, and cannot be recovered; restore the file that it was made from")

// Redact writes a file that can be given to others for diagnosis. It has the structure of
// the state and every number of it: counts, sizes, times, epochs, sequences and ports.
//
// Every string is replaced by tokens, one for each part between slashes, so that nested
// paths stay nested. Equal parts have equal tokens in one file, also in different fields.
// Tokens are keyed with random bytes that no file has and that are dropped afterwards:
// they can neither be computed from a guess nor compared between two files. Exceptions
// are listed in keptWords and in header, and are values of this program, not of users.
func Redact(w io.Writer, c *Content) error {
	r := redactor{key: make([]byte, sha256.Size)}
	_, _ = rand.Read(r.key) // never returns an error
	redacted, err := c.State.Rewrite(func(row proto.Message) bool {
		r.message(row.ProtoReflect())
		return true
	})
	if err != nil {
		return fmt.Errorf("redact snapshot: %w", err)
	}
	return Write(w, r.header(c.Header), redacted.Snapshot())
}

// keptWords are the words that stay as they are at the beginning of some fields: the
// schemes of stores, and the roles of owners. A field that is not listed has none.
func keptWords(field protoreflect.FullName) []string {
	switch field {
	case "jindo.common.v1.Mount.uri":
		return []string{"oss:", "s3:", "cos:", "obs:", "hdfs:", "dls:", "pvc:", "local:", "file:"}
	case "jindo.state.v1.Session.owner":
		return []string{string(mtls.Master), string(mtls.Worker), string(mtls.Fuse), string(mtls.Admin)}
	}
	return nil
}

// redactor replaces strings by tokens.
type redactor struct {
	key []byte
}

// header returns a header with the fields that a redacted file has: one that is not
// listed is dropped. The version of the program is kept.
func (r redactor) header(h Header) Header {
	to := Header{
		ClusterID: r.text(h.ClusterID), Index: h.Index, Term: h.Term, Master: r.text(h.Master), Confirmed: h.Confirmed,
		Time: h.Time, Program: h.Program, Redacted: true,
	}
	for _, m := range h.Members {
		to.Members = append(to.Members, Member{ID: r.member(m.ID), Address: r.text(m.Address), Voter: m.Voter})
	}
	return to
}

// member returns the token of the id of a member: the name of a master, and random
// digits.
func (r redactor) member(id string) string {
	at := strings.LastIndexByte(id, '-')
	if at < 0 {
		return r.text(id)
	}
	return r.text(id[:at]) + "-" + r.text(id[at+1:])
}

// text returns the tokens of a string. Parts that are empty stay so. The first part is
// kept if it is one of the words.
func (r redactor) text(s string, kept ...string) string {
	parts := strings.Split(s, "/")
	for i, part := range parts {
		if part == "" || i == 0 && slices.Contains(kept, part) {
			continue
		}
		sum := hmac.New(sha256.New, r.key)
		_, _ = io.WriteString(sum, part)
		parts[i] = "r" + hex.EncodeToString(sum.Sum(nil)[:10])
	}
	return strings.Join(parts, "/")
}

// message replaces all strings of a message and of the messages in it.
func (r redactor) message(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			entries := m.NewField(field).Map()
			value.Map().Range(func(key protoreflect.MapKey, entry protoreflect.Value) bool {
				entries.Set(r.value(field.MapKey(), key.Value()).MapKey(), r.value(field.MapValue(), entry))
				return true
			})
			m.Set(field, protoreflect.ValueOfMap(entries))
		case field.IsList():
			for i, list := 0, value.List(); i < list.Len(); i++ {
				list.Set(i, r.value(field, list.Get(i)))
			}
		default:
			m.Set(field, r.value(field, value))
		}
		return true
	})
}

// value returns a single value as it is in a redacted file.
func (r redactor) value(field protoreflect.FieldDescriptor, value protoreflect.Value) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(r.text(value.String(), keptWords(field.FullName())...))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(r.text(string(value.Bytes()))))
	case protoreflect.MessageKind, protoreflect.GroupKind:
		r.message(value.Message())
	}
	return value
}
