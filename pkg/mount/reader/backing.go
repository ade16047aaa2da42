package reader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/fdpass"
)

// Backing is the sealed file of a version on this host, open for reading only. Its
// bytes are those of the version as long as it is not revoked.
type Backing interface {
	// Descriptor returns the open file, which the Backing owns.
	Descriptor() *os.File
	// Used reports to the worker that the file was opened again.
	Used()
	// Revoked returns a channel that is closed when the worker has found that the
	// bytes are wrong or cannot be read.
	Revoked() <-chan struct{}
	// Lost returns a channel that is closed when the connection to the worker has
	// ended, after which it neither charges nor revokes the file.
	Lost() <-chan struct{}
	// Close returns the file to the worker.
	Close() error
}

var _ Backing = (*fdpass.File)(nil)

// Errors of Reader.Backing.
var (
	// ErrNotSealed means that the workers on this host do not have the complete,
	// verified version.
	ErrNotSealed = fdpass.ErrNotSealed
	// ErrNoWorker means that no worker of the version is on this host.
	ErrNoWorker = errors.New("no worker of it is on this host")
	// ErrWorkerAway means that a worker of this host does not respond.
	ErrWorkerAway = errors.New("the worker on this host does not respond")
)

// hangPause is the time for which no sealed file is requested after a worker did not
// respond.
const hangPause = 5 * time.Second

// Backing returns the sealed file of a version. It makes one request to a worker on
// this host, and none if there is no such worker. If the worker does not have the file,
// the open Files of the version do not request it for Config.LocalInterval.
func (r *Reader) Backing(ctx context.Context, v Version) (Backing, error) {
	if r.config.Local == nil {
		return nil, ErrNoWorker
	}
	now := r.config.Clock()
	if now.UnixNano() < r.backingAfter.Load() {
		return nil, ErrWorkerAway
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	file, err := r.config.Local.Open(ctx, v, r.workersOf(objectOf(v)))
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.backingAfter.Store(now.Add(hangPause).UnixNano())
			err = fmt.Errorf("%w: %w", ErrWorkerAway, err)
		}
		if errors.Is(err, ErrNotSealed) || errors.Is(err, ErrNoWorker) {
			r.noLocal(v, now)
		}
		return nil, err
	}
	backing, ok := file.(Backing)
	if !ok {
		_ = file.Close()
		return nil, fmt.Errorf("open sealed file of %q: a %T has no descriptor", v.Key, file)
	}
	return backing, nil
}
