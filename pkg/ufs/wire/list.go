package wire

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jindo-io/jindo/pkg/ufs"
)

const (
	// maxKeys is the largest page of OSS and S3.
	maxKeys = 1000
	// maxEmpty is how many pages in succession may be empty. Stores send them
	// while they skip deleted keys.
	maxEmpty = 1000
	// maxToken is the length of the longest continuation token of a store, in bytes.
	maxToken = 8 << 10
)

// Lister lists for a driver.
type Lister struct {
	Caller *Caller
	Limits Limits
	// Right that a listing requires.
	Right string
	// Prefix of the store.
	Prefix string
	// Send requests one page in the second version of the protocol, with names
	// encoded for URLs. The result of the SDK is not used.
	Send func(ctx context.Context, q ListQuery) error
}

// ListQuery is the request for a page. Prefix and StartAfter include the store's
// prefix. Empty fields are omitted.
type ListQuery struct {
	Prefix, Delimiter, Token, StartAfter string
	MaxKeys                              int32
}

// List returns one page. A page is returned only if it is well-formed, of the
// requested prefix, in the order of keys, behind the previous page, and if it
// either is the last or continues. Anything else is ErrUnavailable: what is not
// in a complete listing is treated as deleted.
func (l *Lister) List(ctx context.Context, options ufs.ListOptions) (ufs.Page, error) {
	if err := ufs.CheckDelimiter(options.Delimiter); err != nil {
		return ufs.Page{}, err
	}
	at, err := cursorOf(options)
	if err != nil {
		return ufs.Page{}, err
	}
	if ufs.CheckPrefix(l.Prefix, options.Prefix) != nil {
		return ufs.Page{}, nil // no key can have such a prefix
	}
	q := ListQuery{Prefix: l.Prefix + options.Prefix, Delimiter: options.Delimiter, Token: at.token, MaxKeys: maxKeys}
	if options.MaxKeys > 0 {
		q.MaxKeys = int32(min(options.MaxKeys, maxKeys))
	}
	if options.Continuation == "" && options.StartAfter != "" {
		q.StartAfter = l.Prefix + options.StartAfter
	}
	var page ufs.Page
	about := Request{Act: "listing", Key: q.Prefix, Right: l.Right}
	err = l.Caller.DoWithin(ctx, about, l.Limits.List, func(ctx context.Context) error {
		x := exchangeOf(ctx)
		x.stub = "<ListBucketResult></ListBucketResult>"
		if err := l.Send(ctx, q); err != nil {
			return err
		}
		page, err = l.page(x, q, at)
		return err
	})
	if errors.Is(invalidKey(options.Prefix, err), ufs.ErrInvalidKey) {
		return ufs.Page{}, nil
	}
	return page, misplaced(err)
}

func (l *Lister) page(x *exchange, q ListQuery, at cursor) (ufs.Page, error) {
	if x.encoded() {
		return ufs.Page{}, unreadable("the listing has the Content-Encoding %.50q", x.header.Get("Content-Encoding"))
	}
	doc, err := parseListing(x.body)
	if err != nil {
		return ufs.Page{}, err
	}
	if !doc.ofPrefix(q.Prefix) {
		return ufs.Page{}, unreadable("the listing is of the prefix %.200q", *doc.prefix)
	}
	var page ufs.Page
	if page.Objects, err = l.objects(&doc, q, at); err != nil {
		return ufs.Page{}, err
	}
	if page.Prefixes, err = l.prefixes(&doc, q, at); err != nil {
		return ufs.Page{}, err
	}
	page.Next, err = at.next(&doc, page)
	return page, err
}

// objects returns the objects of a page, with keys relative to the store's prefix.
func (l *Lister) objects(doc *listing, q ListQuery, at cursor) ([]ufs.Object, error) {
	objects := make([]ufs.Object, 0, len(doc.objects))
	last := at.last
	for _, o := range doc.objects {
		key, below, err := l.relative(doc, q, o.key)
		if err != nil {
			return nil, err
		}
		if q.Delimiter != "" && strings.Contains(below, q.Delimiter) {
			return nil, unreadable("the listing has the key %.200q, so it ignores the delimiter", key)
		}
		if key == "" {
			continue // the marker of the store's prefix itself
		}
		if key <= last {
			return nil, outOfOrder(key, last)
		}
		last = key
		object, err := o.object(key)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// prefixes returns the common prefixes of a page. A start within one lists it
// again.
func (l *Lister) prefixes(doc *listing, q ListQuery, at cursor) ([]string, error) {
	var prefixes []string
	last := at.last
	for _, name := range doc.prefixes {
		prefix, below, err := l.relative(doc, q, name)
		if err != nil {
			return nil, err
		}
		if q.Delimiter == "" || strings.Index(below, q.Delimiter) != len(below)-1 {
			return nil, unreadable("the listing has the common prefix %.200q", prefix)
		}
		within := at.start && len(prefixes) == 0 && strings.HasPrefix(last, prefix)
		if prefix <= last && !within {
			return nil, outOfOrder(prefix, last)
		}
		last = prefix
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// relative decodes a name. It returns the name without the store's prefix, and
// without the prefix of the request.
func (l *Lister) relative(doc *listing, q ListQuery, name string) (key, below string, err error) {
	name, err = doc.decode(name)
	if err != nil {
		return "", "", err
	}
	below, inside := strings.CutPrefix(name, q.Prefix)
	if !inside || name == "" {
		return "", "", unreadable("the listing has the key %.200q, which is not below %.200q", name, q.Prefix)
	}
	return name[len(l.Prefix):], below, nil
}

func outOfOrder(key, last string) error {
	return unreadable("the listing has the key %.200q after %.200q, so it is not in the order of keys", key, last)
}

// cursor is where a listing continues. Its text is the Continuation of callers.
// It holds the last key, so that pages that do not advance are noticed.
type cursor struct {
	// last is the last key or common prefix listed, or StartAfter.
	last string
	// start is set if last is StartAfter.
	start bool
	// empty counts the empty pages since then.
	empty uint64
	token string
}

func cursorOf(options ufs.ListOptions) (cursor, error) {
	if options.Continuation == "" {
		return cursor{last: options.StartAfter, start: true}, nil
	}
	invalid := fmt.Errorf("invalid continuation %.100q: %w", options.Continuation, ufs.ErrInvalid)
	raw, err := base64.RawURLEncoding.DecodeString(options.Continuation)
	if err != nil || len(raw) < 2 || raw[0] != 0 && raw[0] != 1 {
		return cursor{}, invalid
	}
	c := cursor{start: raw[0] == 1}
	raw = raw[1:]
	empty, n := binary.Uvarint(raw)
	if n <= 0 {
		return cursor{}, invalid
	}
	length, m := binary.Uvarint(raw[n:])
	raw = raw[n+max(m, 0):]
	if m <= 0 || length >= uint64(len(raw)) {
		return cursor{}, invalid
	}
	c.empty, c.last, c.token = empty, string(raw[:length]), string(raw[length:])
	return c, nil
}

func (c cursor) String() string {
	raw := []byte{0}
	if c.start {
		raw[0] = 1
	}
	raw = binary.AppendUvarint(raw, c.empty)
	raw = binary.AppendUvarint(raw, uint64(len(c.last)))
	return base64.RawURLEncoding.EncodeToString(append(append(raw, c.last...), c.token...))
}

// next returns the Continuation of a page; "" if it is the last.
func (c cursor) next(doc *listing, page ufs.Page) (string, error) {
	switch {
	case !doc.ends:
		return "", unreadable("the listing does not have IsTruncated, so it may be incomplete")
	case !doc.truncated:
		return "", nil
	case doc.token == "":
		return "", unreadable("the listing is truncated and has no continuation token")
	case doc.token == c.token:
		return "", unreadable("the continuation token of the listing does not advance")
	case len(doc.token) > maxToken:
		return "", unreadable("the listing has a continuation token of %d bytes", len(doc.token))
	}
	c.token = doc.token
	if c.empty++; c.empty > maxEmpty {
		return "", unreadable("%d pages of the listing are empty", maxEmpty)
	}
	if n := len(page.Objects); n > 0 {
		c.last, c.start, c.empty = max(c.last, page.Objects[n-1].Key), false, 0
	}
	if n := len(page.Prefixes); n > 0 {
		c.last, c.start, c.empty = max(c.last, page.Prefixes[n-1]), false, 0
	}
	return c.String(), nil
}

// invalidKey returns the error of a request for a key or prefix. Most stores hold
// only keys that are UTF-8 and refuse others as malformed, each with a code of
// its own; then there is no such key.
func invalidKey(key string, err error) error {
	if !utf8.ValidString(key) && errors.Is(err, errRejected) {
		return kindError{err, ufs.ErrInvalidKey}
	}
	return err
}
