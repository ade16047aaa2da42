package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// batchReads is the number of objects of one batch that are read concurrently.
const batchReads = 16

// serveBatch serves a request for several small objects. The response begins at
// once, and each object follows when it is complete.
func (w *Worker) serveBatch(rw http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(rw)
	_ = control.SetReadDeadline(time.Now().Add(w.config.WriteTimeout))
	batch, failure := wire.ParseBatch(r.Body)
	_ = control.SetReadDeadline(time.Time{})
	if r.Method != http.MethodPost {
		failure = &wire.Failure{Status: http.StatusMethodNotAllowed, Code: wire.CodeInvalid, Message: "batches are read with POST"}
	}
	if failure != nil {
		w.fail(rw, nil, wire.Request{}, failure)
		return
	}
	w.views.load().epochs(batch.Objects[0].Mount).SetHeader(rw.Header())
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.WriteHeader(http.StatusOK)
	_ = control.Flush()
	paced := &pacedWriter{w: rw, control: control, timeout: w.config.WriteTimeout}
	out := &frames{out: bufio.NewWriterSize(paced, 64<<10), control: control}
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(batchReads)
	for i, o := range batch.Objects {
		group.Go(func() error {
			object, failure := w.readObject(ctx, r, o.Request())
			return out.send(i, object, failure)
		})
	}
	if err := group.Wait(); err != nil {
		// The documented way to abort a response; net/http recovers this value.
		panic(http.ErrAbortHandler)
	}
}

// frames sends the frames of a batch. It is safe for concurrent use.
type frames struct {
	// waiting counts the goroutines that send.
	waiting atomic.Int64

	mu      sync.Mutex
	out     *bufio.Writer
	control *http.ResponseController
}

// send sends a frame, together with those that others send at the same time.
func (f *frames) send(index int, object []byte, failure *wire.Failure) error {
	f.waiting.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	err := wire.WriteFrame(f.out, index, object, failure)
	if f.waiting.Add(-1) > 0 || err != nil {
		return err
	}
	return errors.Join(f.out.Flush(), f.control.Flush())
}

// readObject returns all bytes of a small object, as serveObject sends them.
func (w *Worker) readObject(ctx context.Context, r *http.Request, request wire.Request) ([]byte, *wire.Failure) {
	entry := w.mount(ctx, request.Mount)
	if entry == nil {
		return nil, &wire.Failure{Status: http.StatusNotFound, Code: wire.CodeUnknownMount, Message: "unknown mount"}
	}
	failed := func(f *wire.Failure) ([]byte, *wire.Failure) {
		w.metrics.failures.WithLabelValues(string(f.Code)).Inc()
		if outdated(f) {
			w.dropName(request)
		}
		return nil, f
	}
	if f := w.authorizeMount(r, request.Mount); f != nil {
		return failed(f)
	}
	if err := keyOf(request).Validate(); err != nil {
		return failed(wire.Invalid(err.Error()))
	}
	lane, err := w.lanes.enter(ctx, request.Mount)
	if err != nil {
		return failed(failureOf(err))
	}
	defer lane.leave()
	reader, err := w.readBlocks(ctx, w.views.load(), entry, request, lane)
	if err != nil {
		return failed(failureOf(err))
	}
	defer func() { _ = reader.Close() }()
	object := bytes.NewBuffer(make([]byte, 0, request.Size))
	if _, err := reader.Copy(ctx, object); err != nil {
		entry.note(err)
		return failed(failureOf(err))
	}
	return object.Bytes(), nil
}
