package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxRefusals of workers that could be reached and would not answer. What the
// store refuses to three it refuses to all.
const maxRefusals = 3

// Lookup asks for one name of a directory, by its owner, then by the others. A
// name that is not there is no error.
func (c *Client) Lookup(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error) {
	request := &workerv1.LookupRequest{MountId: mount, Directory: dir, Name: name, RingEpoch: c.ringEpoch()}
	answer, err := ask(ctx, c, mount, dir, func(ctx context.Context, d workerv1.DirectoryClient, o ...grpc.CallOption) (*workerv1.LookupResponse, error) {
		return d.Lookup(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("looking up %q in directory %q of mount %s: %w", name, dir, mount, err)
	}
	return answer, nil
}

// List asks for a page of a directory: names after the given one, at most limit
// or as many as the worker likes if that is 0.
func (c *Client) List(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error) {
	request := &workerv1.ListRequest{MountId: mount, Directory: dir, After: after, Limit: uint32(max(0, limit)), RingEpoch: c.ringEpoch()}
	answer, err := ask(ctx, c, mount, dir, func(ctx context.Context, d workerv1.DirectoryClient, o ...grpc.CallOption) (*workerv1.ListResponse, error) {
		return d.List(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("listing directory %q of mount %s: %w", dir, mount, err)
	}
	return answer, nil
}

// Forget makes a directory's owner drop what it knows of a name. A stand-in
// that answered in the owner's place keeps its answer for as long as it
// believes it.
func (c *Client) Forget(ctx context.Context, mount, dir, name string) error {
	request := &workerv1.ForgetRequest{MountId: mount, Directory: dir, Name: name}
	_, err := ask(ctx, c, mount, dir, func(ctx context.Context, d workerv1.DirectoryClient, o ...grpc.CallOption) (*workerv1.ForgetResponse, error) {
		return d.Forget(ctx, request, o...)
	})
	if err != nil {
		return fmt.Errorf("forgetting %q in directory %q of mount %s: %w", name, dir, mount, err)
	}
	return nil
}

func (c *Client) ringEpoch() uint64 { return c.View().GetRing().GetEpoch() }

// trace of an answer: a status alone does not tell whether it is the worker's
// or comes from a connection that broke.
type trace struct{ header, trailer metadata.MD }

func (t *trace) options() []grpc.CallOption {
	return []grpc.CallOption{grpc.Header(&t.header), grpc.Trailer(&t.trailer)}
}

func (t *trace) answered() bool { return len(t.header)+len(t.trailer) > 0 }

// outcome of a call that failed, and what it says about the worker.
func (w *worker) outcome(ctx context.Context, err error, came trace) error {
	failure := &Error{Worker: w.name, Message: status.Convert(err).Message()}
	switch {
	case cancelled(ctx):
		failure.Kind = context.Canceled
	case status.Code(err) == codes.DeadlineExceeded || ctx.Err() != nil:
		failure.Kind = ErrStalled
		w.failed()
	case !came.answered():
		failure.Kind = ErrUnreachable
		w.failed()
	default:
		failure.Kind = kindOfStatus(err)
		w.succeeded(calls)
	}
	return failure
}

// epoched is an answer that carries epochs.
type epoched interface{ GetEpochs() *workerv1.Epochs }

type answer[T any] struct {
	value T
	err   error
	w     *worker
}

// ask calls one worker after another in a directory's order. Each gets its own
// deadline; one that is silent is not waited for before the next is asked, and
// the first answer counts.
func ask[T any](ctx context.Context, c *Client, mount, dir string, call func(context.Context, workerv1.DirectoryClient, ...grpc.CallOption) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	candidates := c.candidates(ring.DirectoryKey(mount, dir))
	answers := make(chan answer[T], len(candidates))
	silence := time.NewTimer(0)
	defer silence.Stop()
	var none T
	var failed []error
	running, refusals := []*worker{}, 0
	patience := c.config.Silence
	for {
		select {
		case <-ctx.Done():
			return none, errors.Join(append(failed, context.Cause(ctx))...)
		case <-silence.C:
			// The first, or those before are silent.
		case a := <-answers:
			i := slices.Index(running, a.w)
			if a.err == nil {
				c.answered(a.w, mount, a.value, running[:i])
				return a.value, nil
			}
			running = slices.Delete(running, i, i+1)
			failed = append(failed, a.err)
			if !errors.Is(a.err, ErrUnreachable) && !errors.Is(a.err, ErrStalled) {
				refusals++
			}
		}
		if refusals >= maxRefusals || len(candidates) == 0 {
			if len(running) == 0 {
				return none, verdict(failed)
			}
			continue
		}
		w := candidates[0]
		candidates = candidates[1:]
		running = append(running, w)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, c.config.NameTimeout)
			defer cancel()
			var came trace
			value, err := call(ctx, workerv1.NewDirectoryClient(w.conn), came.options()...)
			if err != nil {
				err = w.outcome(ctx, err, came)
			}
			answers <- answer[T]{value, err, w}
		}()
		// A slow store makes them all silent: it must not be asked by all.
		silence.Reset(patience)
		patience *= 2
	}
}

// answered notes what an answer says about its worker, and about those that
// were asked before and are silent.
func (c *Client) answered(w *worker, mount string, value any, silent []*worker) {
	w.succeeded(calls)
	for _, other := range silent {
		// Others do better to begin with the one that answered.
		other.failed()
	}
	if e, ok := value.(epoched); ok {
		c.note(w.name, e.GetEpochs().GetRing(), mount, e.GetEpochs().GetMount(), 0)
	}
}

// candidates for a key: in its order, but those that failed a moment ago last.
func (c *Client) candidates(key string) []*worker {
	var first, last []*worker
	for _, m := range c.everybody(key) {
		w, err := c.worker(m)
		switch {
		case err != nil:
			c.config.Logger.Debug("a worker is left out", "reason", err)
		case w.admit(calls):
			first = append(first, w)
		default:
			last = append(last, w)
		}
	}
	return append(first, last...)
}

// verdict joins why nobody answered.
func verdict(failed []error) error {
	if len(failed) == 0 {
		return fmt.Errorf("no worker is known: %w", ErrUnreachable)
	}
	return errors.Join(failed...)
}
