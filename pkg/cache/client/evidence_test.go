package client_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// avoided returns the number of workers that are tried last for bytes.
func (f *fixture) avoided() int {
	n := 0
	for _, c := range f.client.Candidates(client.Object{Mount: fakeworker.MountID, Key: "k", ETag: "e", Size: 1}, 0) {
		if !c.Admit() {
			n++
		}
	}
	return n
}

// failingNames makes every request for names fail with a status.
func failingNames(code codes.Code) func(*fixture) {
	return func(f *fixture) {
		for _, w := range f.cluster.Workers {
			w.FailNames(func(context.Context) error { return status.Error(code, "injected \xff") })
		}
	}
}

// hangingNames makes every worker accept requests for names and send nothing, or only
// the header of a response.
func hangingNames(header bool) func(*fixture) {
	return func(f *fixture) {
		// The deadline is known to the worker too. One that hangs does not respond when
		// it has passed.
		ended := make(chan struct{})
		f.Cleanup(func() { close(ended) })
		for _, w := range f.cluster.Workers {
			w.FailNames(func(ctx context.Context) error {
				if header {
					_ = grpc.SendHeader(ctx, metadata.MD{})
				}
				<-ended
				return status.Error(codes.Aborted, "the test has ended")
			})
		}
	}
}

// TestEvidenceOfNames checks, for each way in which a request for a name can fail,
// whether other requests avoid the workers afterwards.
func TestEvidenceOfNames(t *testing.T) {
	within := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	cancelled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		return ctx, cancel
	}
	for name, c := range map[string]struct {
		prepare     func(*fixture)
		mount, name string
		context     func(context.Context) (context.Context, context.CancelFunc)
		// silence and timeout of the client, a minute if they are 0: only workers that
		// hang, and not a busy machine, let them pass. A worker has until the timeout to
		// send the header of a response.
		silence, timeout time.Duration
		want             error
		avoided          int
	}{
		"not UTF-8":             {name: "\xff"},
		"control characters":    {name: "a\n\x00\x1b"},
		"cannot be encoded":     {mount: "\xff", want: client.ErrInvalid},
		"larger than a message": {name: strings.Repeat("n", 5<<20), want: client.ErrInvalid},
		"response too large":    {prepare: func(f *fixture) { f.cluster.Bucket.Put(strings.Repeat("n", 5<<20), nil) }, name: "LIST", want: client.ErrTooLarge},
		"invalid argument":      {prepare: failingNames(codes.InvalidArgument), want: client.ErrInvalid},
		"unknown mount":         {prepare: failingNames(codes.NotFound), want: client.ErrUnknownMount},
		"permission denied":     {prepare: failingNames(codes.PermissionDenied), want: client.ErrPermission},
		"resource exhausted":    {prepare: failingNames(codes.ResourceExhausted), want: client.ErrTooLarge},
		"store unavailable":     {prepare: failingNames(codes.Unavailable), want: client.ErrUnavailable},
		"store's deadline":      {prepare: failingNames(codes.DeadlineExceeded), want: client.ErrUnavailable},
		"internal":              {prepare: failingNames(codes.Internal), want: client.ErrUnavailable},
		"unimplemented":         {prepare: failingNames(codes.Unimplemented), want: client.ErrUnavailable},
		"caller cancels":        {prepare: hangingNames(false), context: cancelled, want: context.Canceled},
		"caller's deadline":     {prepare: hangingNames(false), context: within(50 * time.Millisecond), want: context.DeadlineExceeded},
		"slow store":            {prepare: hangingNames(true), timeout: 2 * time.Second, want: client.ErrStalled},
		"hang":                  {prepare: hangingNames(false), silence: 200 * time.Millisecond, timeout: 3 * time.Second, want: client.ErrStalled, avoided: 2},
		"down":                  {prepare: (*fixture).stopAll, want: client.ErrUnreachable, avoided: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 2)
			f.start(func(config *client.Config) {
				config.Silence, config.NameTimeout = cmp.Or(c.silence, time.Minute), cmp.Or(c.timeout, time.Minute)
			})
			if c.prepare != nil {
				c.prepare(f)
			}
			ctx, cancel := t.Context(), func() {}
			if c.context != nil {
				ctx, cancel = c.context(ctx)
			}
			defer cancel()
			mount := fakeworker.MountID
			if c.mount != "" {
				mount = c.mount
			}
			var err error
			if c.name == "LIST" {
				_, err = f.client.List(ctx, mount, "", "", 10)
			} else {
				_, err = f.client.Lookup(ctx, mount, "dir", c.name)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("the error is %.300v, want %v", err, c.want)
			}
			if n := f.avoided(); n != c.avoided {
				t.Errorf("%d of 2 workers are avoided, want %d", n, c.avoided)
			}
		})
	}
}

// TestEvidenceWhenOvertaken checks that a worker that waits for the store is not
// avoided because another one responds first, and one that is silent is.
func TestEvidenceWhenOvertaken(t *testing.T) {
	for name, header := range map[string]bool{"waits for the store": true, "silent": false} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 2)
			silence := 200 * time.Millisecond
			if header { // which has to arrive within this time, also on a busy machine
				silence = 2 * time.Second
			}
			f.start(func(c *client.Config) { c.Silence = silence })
			f.cluster.Bucket.Put("dir/x", []byte("x"))
			owner := f.owners("dir")[0]
			hangingNames(header)(f)
			for _, w := range f.cluster.Workers {
				if w != owner {
					w.Heal()
				}
			}
			response, err := f.client.Lookup(t.Context(), fakeworker.MountID, "dir", "x")
			if err != nil || !response.GetFound() {
				t.Fatalf("got %v, %v", response, err)
			}
			if n := f.avoided(); n != map[bool]int{true: 0, false: 1}[header] {
				t.Errorf("%d workers are avoided", n)
			}
		})
	}
}

// TestEvidenceOfRanges is like TestEvidenceOfNames, for bytes.
func TestEvidenceOfRanges(t *testing.T) {
	for name, c := range map[string]struct {
		fault   fakeworker.Fault
		object  func(*client.Object)
		down    bool
		timeout time.Duration
		silence time.Duration // a minute if it is 0
		want    error
		avoided int
	}{
		"key too long":            {object: func(o *client.Object) { o.Key = strings.Repeat("k", wire.MaxKey+1) }, want: client.ErrInvalid},
		"tag too long":            {object: func(o *client.Object) { o.ETag = strings.Repeat("e", wire.MaxETag+1) }, want: client.ErrInvalid},
		"no tag":                  {object: func(o *client.Object) { o.ETag = "" }, want: client.ErrInvalid},
		"invalid":                 {fault: fakeworker.Fault{Status: http.StatusBadRequest, Code: wire.CodeInvalid}, want: client.ErrInvalid},
		"headers too large":       {fault: fakeworker.Fault{Status: http.StatusRequestHeaderFieldsTooLarge}, want: client.ErrInvalid},
		"changed":                 {fault: fakeworker.Fault{Status: http.StatusPreconditionFailed, Code: wire.CodeStale}, want: client.ErrStale},
		"deleted":                 {fault: fakeworker.Fault{Status: http.StatusNotFound, Code: wire.CodeNotFound}, want: client.ErrNotFound},
		"denied":                  {fault: fakeworker.Fault{Status: http.StatusForbidden, Code: wire.CodePermission}, want: client.ErrPermission},
		"throttled":               {fault: fakeworker.Fault{Status: http.StatusServiceUnavailable, Code: wire.CodeThrottled}, want: client.ErrThrottled},
		"store unavailable":       {fault: fakeworker.Fault{Status: http.StatusBadGateway, Code: wire.CodeUnavailable}, want: client.ErrUnavailable},
		"store ends the body":     {fault: fakeworker.Fault{Cut: 3}, want: client.ErrUnreachable},
		"store is slow":           {fault: fakeworker.Fault{HangAfter: -1}, silence: 2 * time.Second, want: client.ErrStalled},
		"caller's deadline":       {fault: fakeworker.Fault{HangBefore: true}, timeout: 50 * time.Millisecond, want: context.DeadlineExceeded},
		"hang":                    {fault: fakeworker.Fault{HangBefore: true}, silence: 300 * time.Millisecond, want: client.ErrStalled, avoided: 1},
		"connection broken":       {fault: fakeworker.Fault{Cut: -1}, want: client.ErrUnreachable, avoided: 1},
		"down":                    {down: true, want: client.ErrUnreachable, avoided: 1},
		"bytes of another range":  {fault: fakeworker.Fault{Range: "bytes 0-3/99"}, want: client.ErrGarbled, avoided: 1},
		"bytes of another object": {fault: fakeworker.Fault{ETag: `"other"`}, want: client.ErrGarbled, avoided: 1},
		"not a worker":            {fault: fakeworker.Fault{Status: http.StatusNotFound}, want: client.ErrGarbled, avoided: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			f.start()
			stored := f.cluster.Bucket.Put("k\xff\n", []byte("0123456789"))
			f.cluster.Workers[0].FailAlways(c.fault)
			o := client.Object{Mount: fakeworker.MountID, Key: "k\xff\n", ETag: stored.ETag, Size: 10}
			if c.object != nil {
				c.object(&o)
			}
			if c.down {
				f.stopAll()
			}
			ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.timeout, time.Minute))
			defer cancel()
			_, _, err := f.client.Fetch(ctx, f.client.Candidates(o, 0)[0], o, 0, client.Bytes(make([]byte, 10)), client.Terms{Silence: cmp.Or(c.silence, time.Minute), Total: 2 * time.Minute})
			if !errors.Is(err, c.want) {
				t.Errorf("the error is %.300v, want %v", err, c.want)
			}
			if n := f.avoided(); n != c.avoided {
				t.Errorf("%d of 1 workers are avoided, want %d", n, c.avoided)
			}
		})
	}
}
