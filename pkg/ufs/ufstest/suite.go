// Package ufstest is the conformance suite of under-storage drivers: it tests the
// contract of package ufs, and every driver runs it.
//
// The suite reads optional abilities (conditions, metadata, free keys) from the
// store's Capabilities, and checks that the driver returns ErrUnsupported and
// changes nothing where they are missing.
package ufstest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// Suite describes how to open a driver's store.
type Suite struct {
	// Open returns a store without objects, for one test. The suite closes it.
	Open func(t testing.TB) ufs.Store
	// Missing returns a store whose bucket or directory does not exist; nil
	// omits those tests.
	Missing func(t testing.TB) ufs.Store
	// Denied returns stores that refuse requests, by name: a wrong key id, a
	// wrong secret, a missing right.
	Denied map[string]func(t testing.TB) ufs.Store
	// Tree means that the server behind a driver stores objects as files, so
	// that it is a tree although the driver cannot detect it.
	Tree bool
	// Cleans means that the server takes "a//b" and "a/./b" for "a/b" instead
	// of refusing them.
	Cleans bool
	// TextKeys means that the server stores keys that are not UTF-8 and lists them
	// with other bytes, so that they cannot be tested.
	TextKeys bool
	// Many is the number of objects in the long listing; 0 means 2345.
	Many int
}

// Run runs the suite as subtests of t.
func Run(t *testing.T, s Suite) {
	if s.Many == 0 {
		s.Many = 2345
	}
	for _, test := range []struct {
		name string
		run  func(t *testing.T, f *fixture)
	}{
		{"round trip", testRoundTrip},
		{"body", testBody},
		{"ranges", testRanges},
		{"if-match", testIfMatch},
		{"replaced while read", testReplacedWhileRead},
		{"not found", testNotFound},
		{"delete", testDelete},
		{"metadata", testMetadata},
		{"conditional create", testConditionalCreate},
		{"conditional replace", testConditionalReplace},
		{"conditional delete", testConditionalDelete},
		{"create race", testCreateRace},
		{"replace race", testReplaceRace},
		{"copy", testCopy},
		{"copy conditions", testCopyConditions},
		{"multipart", testMultipart},
		{"multipart parts", testMultipartParts},
		{"multipart abort", testMultipartAbort},
		{"multipart conditions", testMultipartConditions},
		{"list", testList},
		{"list pages", testListPages},
		{"list start after", testListStartAfter},
		{"list while changing", testListWhileChanging},
		{"list many", func(t *testing.T, f *fixture) { testListMany(t, f, s.Many) }},
		{"list bad continuation", testListBadContinuation},
		{"odd keys", testOddKeys},
		{"refused keys", testRefusedKeys},
		{"keys that are not UTF-8", testByteKeys},
		{"concurrent", testConcurrent},
		{"cancelled", testCancelled},
		{"closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, s.Open(t))
			f.suite = s
			test.run(t, f)
		})
	}
	if s.Missing != nil {
		t.Run("missing bucket", func(t *testing.T) { testMissing(t, newFixture(t, s.Missing(t))) })
	}
	for name, open := range s.Denied {
		t.Run("denied "+name, func(t *testing.T) { testDenied(t, newFixture(t, open(t))) })
	}
}

// fixture is a store with helpers that fail the test.
type fixture struct {
	ufs.Store
	t     testing.TB
	ctx   context.Context
	suite Suite
}

func newFixture(t testing.TB, store ufs.Store) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	t.Cleanup(func() {
		cancel()
		if err := store.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return &fixture{Store: store, t: t, ctx: ctx}
}

func (f *fixture) can() ufs.Capabilities {
	f.t.Helper()
	c, err := f.Capabilities(f.ctx)
	if err != nil {
		f.t.Fatalf("reading capabilities: %v", err)
	}
	c.Tree = c.Tree || f.suite.Tree
	return c
}

func (f *fixture) put(key, content string) ufs.Object {
	f.t.Helper()
	object, err := f.Put(f.ctx, key, strings.NewReader(content), int64(len(content)), nil, ufs.Conditions{})
	if err != nil {
		f.t.Fatalf("putting %q: %v", key, err)
	}
	return object
}

func (f *fixture) get(key string) string {
	f.t.Helper()
	content, _ := f.read(key, ufs.Whole, "")
	return content
}

func (f *fixture) read(key string, r ufs.Range, ifMatch string) (string, ufs.Object) {
	f.t.Helper()
	body, object, err := f.Get(f.ctx, key, r, ifMatch)
	if err != nil {
		f.t.Fatalf("get of %q: %v", key, err)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		f.t.Fatalf("reading %q: %v", key, err)
	}
	if err := body.Close(); err != nil {
		f.t.Fatalf("closing %q: %v", key, err)
	}
	return string(content), object
}

func (f *fixture) stat(key string) ufs.Object {
	f.t.Helper()
	object, err := f.Stat(f.ctx, key)
	if err != nil {
		f.t.Fatalf("stat of %q: %v", key, err)
	}
	return object
}

// keys lists everything in pages of a size, and checks the invariants of each
// page.
func (f *fixture) keys(options ufs.ListOptions) []string {
	f.t.Helper()
	var all []string
	for range 100000 {
		page, err := f.List(f.ctx, options)
		if err != nil {
			f.t.Fatalf("listing %+v: %v", options, err)
		}
		keys := merge(f.t, page)
		if options.MaxKeys > 0 && len(keys) > options.MaxKeys {
			f.t.Fatalf("listing %+v: %d keys in a page", options, len(keys))
		}
		if page.Next != "" && len(keys) == 0 {
			f.t.Fatalf("listing %+v: an empty page that is not the last", options)
		}
		all = append(all, keys...)
		if page.Next == "" {
			return all
		}
		options.Continuation = page.Next
	}
	f.t.Fatalf("listing %+v does not end", options)
	return nil
}

// merge returns keys and prefixes in one order, and checks the order of each.
func merge(t testing.TB, page ufs.Page) []string {
	t.Helper()
	var keys []string
	objects, prefixes := page.Objects, page.Prefixes
	for len(objects)+len(prefixes) > 0 {
		if len(prefixes) == 0 || len(objects) > 0 && objects[0].Key < prefixes[0] {
			keys = append(keys, objects[0].Key)
			objects = objects[1:]
		} else {
			keys = append(keys, prefixes[0])
			prefixes = prefixes[1:]
		}
	}
	for i := 1; i < len(keys); i++ {
		if keys[i] <= keys[i-1] {
			t.Fatalf("page out of order: %q after %q", keys[i], keys[i-1])
		}
	}
	return keys
}

func (f *fixture) want(err, kind error, act string) {
	f.t.Helper()
	if !errors.Is(err, kind) {
		f.t.Errorf("%s: got %v, want %v", act, err, kind)
	}
}

// content returns size bytes that differ with the seed and with the offset.
func content(seed string, size int) string {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b) // never fails
	return string(b)
}
