package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// serveObject serves a GET of a range of an object.
func (w *Worker) serveObject(rw http.ResponseWriter, r *http.Request) {
	request, failure := parseObject(r.URL.EscapedPath(), r.Header)
	if r.Method != http.MethodGet {
		failure = &wire.Failure{Status: http.StatusMethodNotAllowed, Code: wire.CodeInvalid, Message: "objects are read with GET"}
	}
	if failure != nil {
		w.fail(rw, nil, request, failure)
		return
	}
	entry := w.mount(r.Context(), request.Mount)
	v := w.views.load()
	v.epochs(request.Mount).SetHeader(rw.Header())
	if entry == nil {
		w.fail(rw, nil, request, &wire.Failure{
			Status: http.StatusNotFound, Code: wire.CodeUnknownMount,
			Message: fmt.Sprintf("view %d has no mount with id %q", v.index(), request.Mount),
		})
		return
	}
	if f := w.authorizeMount(r, request.Mount); f != nil {
		w.fail(rw, nil, request, f)
		return
	}
	lane, err := w.lanes.enter(r.Context(), request.Mount)
	if err != nil {
		w.fail(rw, entry, request, failureOf(err))
		return
	}
	defer lane.leave()
	if request.Keep {
		if f := w.keep(r, v, request); f != nil {
			w.fail(rw, entry, request, f)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	reader, err := w.readBlocks(r.Context(), v, entry, request, lane)
	if err != nil {
		w.fail(rw, entry, request, failureOf(err))
		return
	}
	defer func() { _ = reader.Close() }()
	wire.Content{
		ETag: request.ETag, First: request.First, Last: request.Last, Size: request.Size, Source: string(reader.Source()),
	}.SetHeader(rw.Header())
	rw.WriteHeader(http.StatusPartialContent)
	control := http.NewResponseController(rw)
	// Send the header before the first block is complete, so that the client
	// can tell a slow store from an unreachable worker.
	if request.Length() > blockstore.DefaultBlockSize/4 || reader.Source() == blockstore.FromStore {
		_ = control.Flush()
	}
	out := &pacedWriter{w: rw, control: control, timeout: w.config.WriteTimeout}
	if _, err := reader.Copy(r.Context(), out); err != nil {
		w.abort(entry, request, err, out.err)
	}
}

// abort ends a response whose header was sent already. It aborts the
// connection, so that the client cannot take the bytes for the whole range.
func (w *Worker) abort(entry *mounted, request wire.Request, err, writing error) {
	if writing == nil && !errors.Is(err, context.Canceled) {
		entry.note(err)
		failure := failureOf(err)
		w.metrics.failures.WithLabelValues("broken_" + string(failure.Code)).Inc()
		w.config.Logger.Warn("response aborted", "mount", request.Mount, "key", request.Key, "error", err)
		if outdated(failure) {
			w.dropName(request)
		}
	}
	// The documented way to abort a response; net/http recovers this value.
	panic(http.ErrAbortHandler)
}

// readBlocks opens the range in the block store, which fetches missing blocks
// from the previous owners and the store.
func (w *Worker) readBlocks(ctx context.Context, v *view, entry *mounted, request wire.Request, lane *lane) (*blockstore.Reader, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.config.RequestTimeout, fmt.Errorf("no byte within %s", w.config.RequestTimeout))
	defer cancel()
	key := keyOf(request)
	read := blockstore.Request{Key: key, Offset: request.First, Length: request.Length(), Park: lane.park}
	if !request.OnlyIfCached {
		read.Temporary = !v.owns(w.config.Name, v.nameOf(key, request.First))
		read.Fetch = (&source{worker: w, view: v, entry: entry, key: key, owner: !read.Temporary}).fetch
	}
	return w.config.Blocks.Read(ctx, read)
}

// fail sends a failure, and drops the name of an object that has changed or was
// deleted.
func (w *Worker) fail(rw http.ResponseWriter, entry *mounted, request wire.Request, f *wire.Failure) {
	w.metrics.failures.WithLabelValues(string(f.Code)).Inc()
	if outdated(f) && entry != nil {
		w.dropName(request)
	}
	f.Write(rw)
}

// dropName drops an object's name from this worker's listings. Clients drop it
// at the owner of the directory.
func (w *Worker) dropName(request wire.Request) {
	dir, name := path.Split(request.Key)
	if name != "" {
		w.config.Directory.Forget(request.Mount, cleanDir(dir), name)
	}
}

// pacedWriter sets a deadline before each write, so that a client that stops
// reading does not hold a request slot.
type pacedWriter struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
	// err of the last write.
	err error
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		p.err = err
		return 0, err
	}
	n, err := p.w.Write(b)
	p.err = err
	return n, err
}
