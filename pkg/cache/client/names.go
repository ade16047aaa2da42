package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

// maxRefusals is the number of error responses from workers after which no
// further worker is tried: they all use the same store.
const maxRefusals = 3

// Lookup returns the entry of one name of a directory. An absent name is not an
// error: Found is false.
func (c *Client) Lookup(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error) {
	request := &workerv1.LookupRequest{MountId: mount, Directory: []byte(dir), Name: []byte(name), RingEpoch: c.ringEpoch()}
	response, err := tryWorkers(ctx, c, mount, dir, func(ctx context.Context, conn *grpc.ClientConn, o ...grpc.CallOption) (*workerv1.LookupResponse, error) {
		return workerv1.NewDirectoryClient(conn).Lookup(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("look up %q in directory %q of mount %s: %w", name, dir, mount, err)
	}
	return response, nil
}

// List returns a page of a directory: the names after the given one, at most
// limit, or the worker's default if limit is 0.
func (c *Client) List(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error) {
	request := &workerv1.ListRequest{MountId: mount, Directory: []byte(dir), After: []byte(after), Limit: uint32(max(0, limit)), RingEpoch: c.ringEpoch()}
	response, err := tryWorkers(ctx, c, mount, dir, func(ctx context.Context, conn *grpc.ClientConn, o ...grpc.CallOption) (*workerv1.ListResponse, error) {
		return workerv1.NewDirectoryClient(conn).List(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("list directory %q of mount %s: %w", dir, mount, err)
	}
	return response, nil
}

// LookupCached is like Lookup for a name that the directory's owner has cached. The
// error wraps ErrNotCached if it has not.
func (c *Client) LookupCached(ctx context.Context, mount, dir, name string) (*workerv1.LookupResponse, error) {
	request := &workerv1.LookupRequest{MountId: mount, Directory: []byte(dir), Name: []byte(name), RingEpoch: c.ringEpoch(), OnlyIfCached: true}
	response, err := tryOwner(ctx, c, mount, dir, func(ctx context.Context, conn *grpc.ClientConn, o ...grpc.CallOption) (*workerv1.LookupResponse, error) {
		return workerv1.NewDirectoryClient(conn).Lookup(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("look up %q in directory %q of mount %s: %w", name, dir, mount, err)
	}
	return response, nil
}

// ListCached is like List for a directory that its owner has cached. The error
// wraps ErrNotCached if it has not.
func (c *Client) ListCached(ctx context.Context, mount, dir, after string, limit int) (*workerv1.ListResponse, error) {
	request := &workerv1.ListRequest{MountId: mount, Directory: []byte(dir), After: []byte(after), Limit: uint32(max(0, limit)), RingEpoch: c.ringEpoch(), OnlyIfCached: true}
	response, err := tryOwner(ctx, c, mount, dir, func(ctx context.Context, conn *grpc.ClientConn, o ...grpc.CallOption) (*workerv1.ListResponse, error) {
		return workerv1.NewDirectoryClient(conn).List(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("list directory %q of mount %s: %w", dir, mount, err)
	}
	return response, nil
}

// Forget drops a name from the listing cached by the directory's owner. Another
// worker that has served the directory in the owner's place keeps its listing
// until the listing expires.
func (c *Client) Forget(ctx context.Context, mount, dir, name string) error {
	request := &workerv1.ForgetRequest{MountId: mount, Directory: []byte(dir), Name: []byte(name)}
	_, err := tryWorkers(ctx, c, mount, dir, func(ctx context.Context, conn *grpc.ClientConn, o ...grpc.CallOption) (*workerv1.ForgetResponse, error) {
		return workerv1.NewDirectoryClient(conn).Forget(ctx, request, o...)
	})
	if err != nil {
		return fmt.Errorf("forget %q in directory %q of mount %s: %w", name, dir, mount, err)
	}
	return nil
}

// Totals returns the totals of a mount, as the worker that lists its root has
// counted them. Objects is -1 while they are unknown.
func (c *Client) Totals(ctx context.Context, mount string) (*commonv1.Totals, error) {
	request := &workerv1.GetTotalsRequest{MountId: mount}
	response, err := tryWorkers(ctx, c, mount, "", func(ctx context.Context, conn *grpc.ClientConn, o ...grpc.CallOption) (*workerv1.GetTotalsResponse, error) {
		return workerv1.NewCacheClient(conn).GetTotals(ctx, request, o...)
	})
	if err != nil {
		return nil, fmt.Errorf("get the totals of mount %s: %w", mount, err)
	}
	return response.GetTotals(), nil
}

func (c *Client) ringEpoch() uint64 { return c.View().GetRing().GetEpoch() }

// trace holds the metadata of a response. The status alone does not tell whether
// the worker sent it or the connection broke.
type trace struct{ header, trailer metadata.MD }

func (t *trace) options() []grpc.CallOption {
	return []grpc.CallOption{grpc.Header(&t.header), grpc.Trailer(&t.trailer)}
}

func (t *trace) received() bool { return len(t.header)+len(t.trailer) > 0 }

// epoched is a response that carries epochs.
type epoched interface{ GetEpochs() *workerv1.Epochs }

type result[T any] struct {
	value T
	err   error
	w     *worker
}

// tryWorkers tries one worker after another in the order of a directory. Each has its
// own deadline. When one has been silent for a while, the next is tried as well,
// and the first success is returned. It returns when every attempt has ended, which
// is soon after the end of the context, so that what they show about the workers is
// recorded.
func tryWorkers[T any](ctx context.Context, c *Client, mount, dir string, call func(context.Context, *grpc.ClientConn, ...grpc.CallOption) (T, error)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	candidates := c.candidates(ring.DirectoryKey(mount, dir))
	results := make(chan result[T], len(candidates))
	silence := time.NewTimer(0)
	defer silence.Stop()
	var none T
	var failed []error
	running, refusals := []*worker{}, 0
	wait := c.config.Silence
	for {
		select {
		case <-ctx.Done():
			for range running {
				<-results
			}
			return none, errors.Join(append(failed, context.Cause(ctx))...)
		case <-silence.C:
			// Nothing was sent yet, or the workers tried are silent.
		case a := <-results:
			i := slices.Index(running, a.w)
			if a.err == nil {
				c.succeeded(a.w, mount, a.value)
				// Later requests should begin with the worker that responded, and
				// not with one that was silent.
				cancel(errOvertaken)
				for range len(running) - 1 {
					<-results
				}
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
				return none, joinFailures(failed)
			}
			continue
		}
		w := candidates[0]
		candidates = candidates[1:]
		running = append(running, w)
		began := time.Now()
		go func() {
			attempt, stop := context.WithTimeout(ctx, c.config.NameTimeout)
			defer stop()
			var response trace
			value, err := call(attempt, w.conn, response.options()...)
			if err != nil {
				err = w.outcome(ctx, attempt, err, response, began, c.config.Silence)
			}
			results <- result[T]{value, err, w}
		}()
		// A slow store makes all workers silent: do not let all of them query it.
		silence.Reset(wait)
		wait *= 2
	}
}

// tryOwner sends a request that needs no store to the first worker in the order of
// a directory.
func tryOwner[T any](ctx context.Context, c *Client, mount, dir string, call func(context.Context, *grpc.ClientConn, ...grpc.CallOption) (T, error)) (T, error) {
	var none T
	candidates := c.candidates(ring.DirectoryKey(mount, dir))
	if len(candidates) == 0 {
		return none, joinFailures(nil)
	}
	w := candidates[0]
	attempt, stop := context.WithTimeout(ctx, c.config.Silence)
	defer stop()
	var response trace
	began := time.Now()
	value, err := call(attempt, w.conn, response.options()...)
	if err != nil {
		return none, w.outcome(ctx, attempt, err, response, began, c.config.Silence)
	}
	c.succeeded(w, mount, value)
	return value, nil
}

// succeeded records the success of a worker.
func (c *Client) succeeded(w *worker, mount string, value any) {
	w.succeeded(calls)
	if e, ok := value.(epoched); ok {
		c.note(w.name, e.GetEpochs().GetRing(), mount, e.GetEpochs().GetMount(), 0)
	}
}

// candidates returns the workers in the order of a key, with those that failed
// recently at the end.
func (c *Client) candidates(key string) []*worker {
	var first, last []*worker
	for _, m := range c.ordered(key) {
		w, err := c.worker(m)
		switch {
		case err != nil:
			c.config.Logger.Debug("skipping a worker", "error", err)
		case w.admit(calls):
			first = append(first, w)
		default:
			last = append(last, w)
		}
	}
	return append(first, last...)
}

// joinFailures returns the error of a request that no worker served.
func joinFailures(failed []error) error {
	if len(failed) == 0 {
		return fmt.Errorf("no worker is known: %w", ErrUnreachable)
	}
	return errors.Join(failed...)
}
