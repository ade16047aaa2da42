package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// stream returns a Stream of a reader.
func stream(ctx context.Context, body io.Reader) *Stream {
	attempt, watch := NewWatch(ctx, time.Minute)
	return &Stream{Body: io.NopCloser(body), Watch: watch, Attempt: attempt}
}

func always() bool { return true }

// TestDownloadResumes ends a body at every offset and in every way; all bytes must
// be read.
func TestDownloadResumes(t *testing.T) {
	const want = "0123456789abcdefghij"
	for cut := 0; cut <= len(want); cut++ {
		for name, end := range map[string]error{"eof": nil, "reset": errors.New("connection reset")} {
			part := func(offset int64) io.Reader {
				rest := want[offset:]
				rest = rest[:min(len(rest), max(1, cut))]
				if end == nil {
					return strings.NewReader(rest)
				}
				return io.MultiReader(strings.NewReader(rest), iotest.ErrReader(end))
			}
			source := func(ctx context.Context, offset int64) (*Stream, error) { return stream(ctx, part(offset)), nil }
			d := NewDownload(t.Context(), stream(t.Context(), part(0)), int64(len(want)), source, always, time.Minute)
			got, err := io.ReadAll(d)
			if err != nil || string(got) != want {
				t.Errorf("%s after %d: %q, %v", name, cut, got, err)
			}
			_ = d.Close()
		}
	}
}

func TestShortDownloadIsAnError(t *testing.T) {
	spent := 0
	source := func(ctx context.Context, _ int64) (*Stream, error) { return stream(ctx, strings.NewReader("")), nil }
	spend := func() bool { spent++; return spent <= 3 }
	d := NewDownload(t.Context(), stream(t.Context(), strings.NewReader("abc")), 10, source, spend, time.Minute)
	got, err := io.ReadAll(d)
	if string(got) != "abc" || !errors.Is(err, ufs.ErrUnavailable) || spent != 4 {
		t.Errorf("%q, %v, %d tries", got, err, spent)
	}
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("read after the error: %v", err)
	}
}

func TestDownloadStopsAtItsLength(t *testing.T) {
	d := NewDownload(t.Context(), stream(t.Context(), strings.NewReader("0123456789")), 4, nil, always, time.Minute)
	if got, err := io.ReadAll(d); err != nil || string(got) != "0123" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDownloadReturnsTheFinalError(t *testing.T) {
	source := func(context.Context, int64) (*Stream, error) { return nil, ufs.ErrPrecondition }
	d := NewDownload(t.Context(), stream(t.Context(), strings.NewReader("abc")), 10, source, always, time.Minute)
	if got, err := io.ReadAll(d); string(got) != "abc" || !errors.Is(err, ufs.ErrPrecondition) {
		t.Errorf("%q, %v", got, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// blocked blocks until its context ends.
type blocked struct{ ctx context.Context }

func (b blocked) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func TestDownloadResumesAfterAStall(t *testing.T) {
	attempt, watch := NewWatch(t.Context(), time.Minute)
	first := &Stream{Body: io.NopCloser(io.MultiReader(strings.NewReader("abc"), blocked{attempt})), Watch: watch, Attempt: attempt}
	source := func(ctx context.Context, offset int64) (*Stream, error) {
		return stream(ctx, strings.NewReader("abcdef"[offset:])), nil
	}
	d := NewDownload(t.Context(), first, 6, source, always, 10*time.Millisecond)
	if got, err := io.ReadAll(d); err != nil || string(got) != "abcdef" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDownloadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	attempt, watch := NewWatch(ctx, time.Minute)
	first := &Stream{Body: io.NopCloser(blocked{attempt}), Watch: watch, Attempt: attempt}
	d := NewDownload(ctx, first, 6, nil, always, time.Minute)
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := io.ReadAll(d); !errors.Is(err, context.Canceled) || errors.Is(err, ufs.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestUpload(t *testing.T) {
	broken := errors.New("broken")
	refused := errors.New("refused")
	for _, test := range []struct {
		name  string
		body  io.Reader
		size  int64
		read  string
		final bool
		kind  error
	}{
		{"seeker", strings.NewReader("abc"), 3, "abc", false, refused},
		{"stream", io.MultiReader(strings.NewReader("abc")), 3, "abc", true, refused},
		{"longer", strings.NewReader("abcdef"), 3, "abc", false, refused},
		{"shorter", strings.NewReader("ab"), 3, "ab", true, ufs.ErrInvalid},
		{"broken", io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 3, "ab", true, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := NewUpload(test.body, test.size)
			if err != nil {
				t.Fatal(err)
			}
			_, watch := NewWatch(t.Context(), time.Minute)
			defer watch.Release()
			a, err := u.Begin(watch, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			_, _ = io.Copy(&got, a)
			if got.String() != test.read {
				t.Errorf("sent %q, want %q", got.String(), test.read)
			}
			verdict := a.Verdict(refused)
			if retry.IsFinal(verdict) != test.final || !errors.Is(verdict, test.kind) {
				t.Errorf("the verdict is %v, final %v", verdict, retry.IsFinal(verdict))
			}
			if test.final {
				return
			}
			if a, err = u.Begin(watch, time.Minute); err != nil {
				t.Fatal(err)
			}
			again, err := io.ReadAll(a)
			if err != nil || string(again) != test.read {
				t.Errorf("sent again %q, %v", again, err)
			}
		})
	}
	if _, err := NewUpload(strings.NewReader(""), -1); !errors.Is(err, ufs.ErrInvalid) {
		t.Errorf("a negative size: %v", err)
	}
}
