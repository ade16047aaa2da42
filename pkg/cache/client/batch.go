package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// batchPause is how long no batches are requested from a worker that has refused
// one, as workers of earlier versions do.
const batchPause = time.Minute

// batches reports whether batches should be requested from the worker.
func (w *worker) batches() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.avoids[ranges].until.IsZero() && !w.clock().Before(w.noBatches)
}

// batch requests small objects in one request, and calls deliver with each that the
// worker returns. It does not count failures against the worker: the reads of the
// objects do.
func (w *worker) batch(ctx context.Context, objects []*ahead, deliver func(a *ahead, data []byte)) error {
	var wanted wire.Batch
	for _, a := range objects {
		o := a.object
		wanted.Objects = append(wanted.Objects, wire.BatchObject{Mount: o.Mount, Key: []byte(o.Key), ETag: []byte(o.ETag), Size: o.Size})
	}
	request, err := wire.NewBatchRequest(ctx, w.address, wanted)
	if err != nil {
		return err
	}
	response, err := w.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		w.mu.Lock()
		w.noBatches = w.clock().Add(batchPause)
		w.mu.Unlock()
		_, err := wire.ReadFailure(response)
		return errors.Join(fmt.Errorf("status %s", response.Status), err)
	}
	for {
		i, data, err := wanted.ReadFrame(response.Body)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		deliver(objects[i], data)
	}
}
