package file

import (
	"context"
	"fmt"
)

// maxOperations bounds the reading operations of one Store that are in progress.
// A file system whose server does not respond (NFS, FUSE) blocks the thread of each
// call for as long as it likes, and a Go program ends at 10,000 threads.
const maxOperations = 256

// operations holds a token for each operation in progress, also for those whose
// caller has left.
type operations chan struct{}

// run returns the result of do, or the error of the context once that ends, although
// do cannot be cancelled. discard releases a result that comes later.
func run[T any](ctx context.Context, o operations, do func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case o <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("%d operations are in progress: %w", cap(o), ctx.Err())
	}
	done := make(chan result)
	go func() {
		value, err := do()
		<-o
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			if err == nil {
				discard(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("the file system has not responded: %w", ctx.Err())
	}
}
