package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/ring"
)

// busyAfter is how long a request waits for its turn before it is told to
// come back.
const busyAfter = 10 * time.Second

// serveObject answers a ranged GET.
func (w *Worker) serveObject(rw http.ResponseWriter, r *http.Request) {
	request, refused := parseObject(r.URL.EscapedPath(), r.Header)
	if r.Method != http.MethodGet {
		refused = &failure{http.StatusMethodNotAllowed, codeInvalid, "objects are read with GET"}
	}
	if refused != nil {
		w.refuse(rw, nil, request, refused)
		return
	}
	entry := w.mount(r.Context(), request.key.Mount)
	v := w.views.load()
	w.setEpochs(rw.Header(), v, request.key.Mount)
	if entry == nil {
		w.refuse(rw, nil, request, &failure{http.StatusNotFound, codeUnknownMount, fmt.Sprintf("no mount has the id %q as of view %d", request.key.Mount, v.index())})
		return
	}
	leave, err := w.enter(r.Context())
	if err != nil {
		w.refuse(rw, entry, request, failureOf(err))
		return
	}
	defer leave()
	reader, err := w.readBlocks(r.Context(), v, entry, request)
	if err != nil {
		w.refuse(rw, entry, request, failureOf(err))
		return
	}
	defer func() { _ = reader.Close() }()
	h := rw.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(request.length(), 10))
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", request.first, request.last, request.key.Size))
	h.Set("ETag", `"`+request.key.ETag+`"`)
	h.Set("Accept-Ranges", "bytes")
	h.Set(headerSource, string(reader.Source()))
	rw.WriteHeader(http.StatusPartialContent)
	control := http.NewResponseController(rw)
	// A reader that holds back the first bytes waits for the rest of a block:
	// tell it at once that they come.
	if request.length() > blockstore.DefaultBlockSize/4 || reader.Source() == blockstore.FromStore {
		_ = control.Flush()
	}
	out := &pacedWriter{w: rw, control: control, timeout: w.config.WriteTimeout}
	if _, err := reader.Copy(r.Context(), out); err != nil {
		w.broken(entry, request, err, out.err)
	}
}

// broken ends an answer whose headers are out already: the connection is
// aborted, so that the reader cannot take what it has for the whole.
func (w *Worker) broken(entry *mounted, request objectRequest, err, writing error) {
	if writing == nil && !errors.Is(err, context.Canceled) {
		entry.note(err)
		failure := failureOf(err)
		w.metrics.failures.WithLabelValues("broken_" + failure.Code).Inc()
		w.config.Logger.Warn("an answer broke off", "mount", request.key.Mount, "key", request.key.Key, "reason", err)
		if failure.gone() {
			w.forgetName(request.key)
		}
	}
	// net/http's way to abort; it recovers this value itself.
	panic(http.ErrAbortHandler)
}

// readBlocks opens the range in the cache, with the store behind it.
func (w *Worker) readBlocks(ctx context.Context, v *view, entry *mounted, request objectRequest) (*blockstore.Reader, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.config.RequestTimeout, fmt.Errorf("no byte within %s", w.config.RequestTimeout))
	defer cancel()
	ask := blockstore.Request{Key: request.key, Offset: request.first, Length: request.length()}
	if !request.onlyCached {
		name := ring.ObjectKey(request.key.Mount, request.key.Key, request.key.ETag, request.key.Size, 0)
		ask.Temporary = !v.owns(w.config.Name, name)
		ask.Fetch = (&source{worker: w, view: v, entry: entry, key: request.key, name: name, owner: !ask.Temporary}).fetch
	}
	return w.config.Blocks.Read(ctx, ask)
}

// refuse answers a failure, and drops the name of an object that is gone.
func (w *Worker) refuse(rw http.ResponseWriter, entry *mounted, request objectRequest, f *failure) {
	w.metrics.failures.WithLabelValues(f.Code).Inc()
	if f.gone() && entry != nil {
		w.forgetName(request.key)
	}
	f.write(rw)
}

// forgetName drops a name from the listing of its directory, here; readers do
// so at its owner.
func (w *Worker) forgetName(key blockstore.Key) {
	dir, name := path.Split(key.Key)
	if name != "" {
		w.config.Directory.Forget(key.Mount, cleanDir(dir), name)
	}
}

func (w *Worker) setEpochs(h http.Header, v *view, mountID string) {
	ringEpoch, mountEpoch, index := v.epochs(mountID)
	h.Set(headerRing, strconv.FormatUint(ringEpoch, 10))
	h.Set(headerMount, strconv.FormatUint(mountEpoch, 10))
	h.Set(headerView, strconv.FormatUint(index, 10))
}

// enter takes one of the places for requests.
func (w *Worker) enter(ctx context.Context) (leave func(), _ error) {
	timer := time.NewTimer(busyAfter)
	defer timer.Stop()
	select {
	case w.places <- struct{}{}:
		w.metrics.inflight.Inc()
		return func() { w.metrics.inflight.Dec(); <-w.places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("%d requests are under way: %w", cap(w.places), errBusy)
	}
}

// pacedWriter gives a reader a deadline for each write.
type pacedWriter struct {
	w       io.Writer
	control *http.ResponseController
	timeout time.Duration
	err     error
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
