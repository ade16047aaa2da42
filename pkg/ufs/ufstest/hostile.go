package ufstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
	"github.com/jindo-io/jindo/pkg/ufs/wire"
)

// Opener opens a driver's store of the bucket "data" and the prefix "p/" at an
// endpoint.
type Opener func(t testing.TB, endpoint string, policy retry.Policy, limits wire.Limits) ufs.Store

// RunHostile runs every driver against stores that respond wrongly, slowly or
// without end. Each behaviour must have the same outcome with every driver. No
// behaviour may yield wrong bytes, an absence that the store did not state,
// unbounded memory, or a request that does not end.
func RunHostile(t *testing.T, drivers map[string]Opener) {
	names := make([]string, 0, len(drivers))
	for name := range drivers {
		names = append(names, name)
	}
	slices.Sort(names)
	table := []string{fmt.Sprintf("%-58s %s", "behaviour", strings.Join(names, "  "))}
	for _, b := range slices.Concat(listBehaviours(), getBehaviours(), headBehaviours(), writeBehaviours()) {
		outcomes := make([]string, 0, len(names))
		for _, driver := range names {
			t.Run(b.name+"/"+driver, func(t *testing.T) {
				outcomes = append(outcomes, b.run(t, drivers[driver]))
			})
		}
		table = append(table, fmt.Sprintf("%-58s %s", b.name, strings.Join(outcomes, "  ")))
	}
	for _, driver := range names {
		t.Run("tags/"+driver, func(t *testing.T) { testHostileTags(t, drivers[driver]) })
	}
	t.Logf("\n%s", strings.Join(table, "\n"))
}

// behaviour is what a hostile store does, and what a driver must make of it.
type behaviour struct {
	name string
	// change makes the store hostile.
	change func(s *hostileStore)
	// act uses the store. The default reads a range of the object "key" in its
	// version.
	act func(f *hostileFixture) error
	// kind is the error; nil for success.
	kind error
	// slow behaviours are used with short time limits.
	slow bool
}

// hostileFixture is a driver's store, with the hostile store that it uses.
type hostileFixture struct {
	*fixture
	server *hostileStore
}

func (b behaviour) run(t *testing.T, open Opener) string {
	server := newHostileStore(t)
	if b.change != nil {
		b.change(server)
	}
	limits := wire.Limits{Headers: 20 * time.Second, List: 20 * time.Second, Stall: 20 * time.Second, Work: 20 * time.Second}
	if b.slow {
		limit := 300 * time.Millisecond
		if b.kind != ufs.ErrUnavailable { //nolint:errorlint // It is a column of the table.
			limit = 3 * time.Second // so that a busy machine responds in time
		}
		limits = wire.Limits{Headers: limit, List: limit, Stall: limit, Work: limit}
	}
	store := open(t, server.url, retry.Policy{Attempts: 2, Base: time.Millisecond, Cap: time.Millisecond}, limits)
	f := &hostileFixture{fixture: newFixture(t, store), server: server}
	act := b.act
	if act == nil {
		act = readVersion
	}
	err := act(f)
	if !errors.Is(err, b.kind) || b.kind == nil && err != nil {
		t.Errorf("got %v, want %v", err, b.kind)
	}
	if b.kind != nil && errors.Is(err, ufs.ErrNotFound) != errors.Is(b.kind, ufs.ErrNotFound) {
		t.Errorf("what the store did not call absent is absent: %v", err)
	}
	// Two attempts of the largest document, and what buffers hold.
	const most = 64 << 20
	if sent := server.sent.Load(); sent > most {
		t.Errorf("%d bytes were read", sent)
	}
	if n := server.elsewhere.Load(); n > 0 {
		t.Errorf("%d requests followed a redirect to another host", n)
	}
	return outcome(err)
}

// outcome names the kind of an error.
func outcome(err error) string {
	for _, kind := range []error{
		ufs.ErrNoBucket, ufs.ErrNotFound, ufs.ErrPermission, ufs.ErrPrecondition, ufs.ErrInvalidRange,
		ufs.ErrThrottled, ufs.ErrUnavailable, ufs.ErrUnsupported, ufs.ErrInvalid,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	if err != nil {
		return "other"
	}
	return "ok"
}

// The object that hostile stores hold.
const (
	hostileKey  = "key"
	hostileBody = "0123456789abcdefghij"
	hostileTag  = `"tag-1"`
)

// readVersion reads the object in its version: first a range, then all.
func readVersion(f *hostileFixture) error { return f.readTag("tag-1") }

func (f *hostileFixture) readTag(tag string) error {
	for _, r := range []ufs.Range{{Offset: 5, Length: 10}, ufs.Whole} {
		if err := f.readRange(r, tag); err != nil {
			return err
		}
	}
	return nil
}

// readRange reads, and fails the test on wrong bytes.
func (f *hostileFixture) readRange(r ufs.Range, tag string) error {
	body, object, err := f.Get(f.ctx, hostileKey, r, tag)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(body)
	_ = body.Close()
	want := hostileBody[r.Offset:]
	if r.Length >= 0 {
		want = want[:r.Length]
	}
	if !strings.HasPrefix(want, string(got)) || err == nil && string(got) != want {
		f.t.Errorf("wrong bytes: %q, want %q", got, want)
	}
	if err == nil && object.Size != int64(len(hostileBody)) {
		f.t.Errorf("the object has %d bytes", object.Size)
	}
	return err
}

// readAt returns an act that reads one range in the object's version.
func readAt(r ufs.Range) func(*hostileFixture) error {
	return func(f *hostileFixture) error { return f.readRange(r, "tag-1") }
}

// walk returns an act that lists all pages and requires these keys and prefixes.
func walk(options ufs.ListOptions, want ...string) func(*hostileFixture) error {
	return func(f *hostileFixture) error {
		var got []string
		options := options // of this walk
		for pages := 0; ; pages++ {
			page, err := f.List(f.ctx, options)
			if err != nil {
				return err
			}
			got = append(got, merge(f.t, page)...)
			if options.Continuation = page.Next; page.Next == "" {
				break
			}
			if pages > 2000 {
				f.t.Fatal("the listing does not end")
			}
		}
		if !slices.Equal(got, want) {
			f.t.Errorf("listed %q, want %q", got, want)
		}
		return nil
	}
}

var top = ufs.ListOptions{Delimiter: "/"}

func stat(f *hostileFixture) error {
	object, err := f.Stat(f.ctx, hostileKey)
	if err == nil && (object.Size != int64(len(hostileBody)) || object.ETag == "") {
		f.t.Errorf("described as %+v", object)
	}
	return err
}

// oddTags are tags as stores and proxies send them, in a header.
var oddTags = []string{
	`W/"weak"`, `W/weak`, `"W/inner"`, `unquoted`, `"with space"`, `"quote"inside"`, `"unbalanced`, `"`, `'single'`,
	`"comma,other"`, `*`, `"*"`, "\"tab\there\"", "\"latin-\xf6\"", "\"umlaut-ö\"", `"~1700000000-20"`, `"%0d%0aX-Evil: 1"`, `""double""`,
	`"` + strings.Repeat("k", 1024) + `"`, `"` + strings.Repeat("k", 8000) + `"`, `"{}[]<>\"`, `"0"`,
}

// testHostileTags checks that an object with any tag can be read, that its
// replacement is noticed, and that no tag that is not strong is sent.
func testHostileTags(t *testing.T, open Opener) {
	for i, tag := range append(slices.Clone(oddTags), "", `""`) {
		server := newHostileStore(t)
		server.tag = tag
		store := open(t, server.url, retry.Policy{Attempts: 2, Base: time.Millisecond}, wire.Limits{})
		f := &hostileFixture{fixture: newFixture(t, store), server: server}
		page, err := f.List(f.ctx, top)
		if err != nil || len(page.Objects) != 1 {
			t.Errorf("%.50q: listed %+v, %v", tag, page, err)
			continue
		}
		object, err := f.Stat(f.ctx, hostileKey)
		known := object.ETag
		if err != nil || utf8.ValidString(tag) && page.Objects[0].ETag != known {
			t.Errorf("%.50q: listed %.50q, described %.50q, %v", tag, page.Objects[0].ETag, known, err)
		}
		if err := f.readTag(known); err != nil {
			t.Errorf("%.50q: %v", tag, err)
		}
		server.tag = oddTags[(i+3)%len(oddTags)] // not the same tag in another form
		server.modified = server.modified.Add(time.Hour)
		if err := f.readRange(ufs.Range{Offset: 5, Length: 10}, known); !errors.Is(err, ufs.ErrPrecondition) {
			t.Errorf("%.50q, replaced: %v", tag, err)
		}
		for _, sent := range server.conditions() {
			if len(sent) < 3 || sent[0] != '"' || sent[len(sent)-1] != '"' || strings.ContainsAny(sent[1:len(sent)-1], "\" \t\r\n") || strings.HasPrefix(sent, "W/") {
				t.Errorf("%.50q: the header If-Match: %.100q was sent", tag, sent)
			}
		}
	}
}

// serve starts a server that ends with the test.
func serve(t testing.TB, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// drip sends the text byte by byte, with pauses, again and again.
func drip(ctx context.Context, w io.Writer, text string) {
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := w.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// flood sends bytes without end.
func flood(ctx context.Context, w io.Writer, piece string) {
	block := bytes.Repeat([]byte(piece), 64<<10/len(piece)+1)
	for ctx.Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}
