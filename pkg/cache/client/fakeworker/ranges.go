package fakeworker

import (
	"net/http"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/wire"
)

// Fault is the fault of one range. The zero value is none.
type Fault struct {
	// Status and Code fail the request; with Code "" the body is empty.
	Status int
	Code   wire.Code
	// RetryAfter is the value of that header, which may be malformed.
	RetryAfter string
	// HangBefore hangs before the header until the client cancels.
	HangBefore bool
	// Cut closes the connection after this number of bytes of the body; -1
	// closes it before the header.
	Cut int
	// HangAfter hangs after this number of bytes of the body; -1 hangs right
	// after the header.
	HangAfter int
	// Trickle sends this number of bytes every 10 ms.
	Trickle int
	// ETag, Range and Length replace the values of the headers.
	ETag, Range string
	Length      int
	// Chunked omits Content-Length.
	Chunked bool
	// Empty sends status 206 and closes the connection.
	Empty bool
}

func (w *Worker) serveRange(rw http.ResponseWriter, r *http.Request) {
	f := w.currentFault(w.Ranges.Add(1), r)
	switch {
	case f.HangBefore:
		<-r.Context().Done()
		return
	case f.Cut == -1:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		refuse(rw, f.Status, f.Code, f.RetryAfter)
		return
	}
	epochs := w.epochs()
	wire.Epochs{Ring: epochs.GetRing(), Mount: epochs.GetMount(), View: w.view.Load().GetIndex()}.SetHeader(rw.Header())
	request, failure := wire.ParseRequest(r.URL.EscapedPath(), r.Header)
	if failure != nil {
		failure.Write(rw)
		return
	}
	o, found := w.cluster.Bucket.Get(request.Key)
	switch {
	case request.Mount != MountID:
		refuse(rw, http.StatusNotFound, wire.CodeUnknownMount, "")
	case request.OnlyIfCached && !w.Cached(request.Key):
		refuse(rw, http.StatusNotFound, wire.CodeNotCached, "")
	case !found:
		refuse(rw, http.StatusNotFound, wire.CodeNotFound, "")
	case o.ETag != request.ETag || request.Size != int64(len(o.Data)):
		refuse(rw, http.StatusPreconditionFailed, wire.CodeStale, "")
	default:
		f.send(rw, r, o, request)
	}
}

// send responds with the bytes, as far as the fault lets it.
func (f Fault) send(rw http.ResponseWriter, r *http.Request, o Object, request wire.Request) {
	h := rw.Header()
	wire.Content{ETag: o.ETag, First: request.First, Last: request.Last, Size: request.Size, Source: wire.SourceStore}.SetHeader(h)
	if f.Range != "" {
		h.Set("Content-Range", f.Range)
	}
	if f.ETag != "" {
		h.Set("ETag", f.ETag)
	}
	if f.Length != 0 {
		h.Set("Content-Length", strconv.Itoa(f.Length))
	}
	if f.Chunked {
		h.Del("Content-Length")
	}
	rw.WriteHeader(http.StatusPartialContent)
	if f.Empty {
		panic(http.ErrAbortHandler)
	}
	data := o.Data[request.First : request.Last+1]
	flush := func(p []byte) {
		_, _ = rw.Write(p)
		rw.(http.Flusher).Flush()
	}
	switch {
	case f.HangAfter != 0 && f.HangAfter < len(data):
		flush(data[:min(max(0, f.HangAfter), len(data))])
		<-r.Context().Done()
	case f.Cut > 0 && f.Cut < len(data):
		flush(data[:f.Cut])
		panic(http.ErrAbortHandler)
	case f.Trickle > 0:
		for len(data) > 0 && r.Context().Err() == nil {
			n := min(f.Trickle, len(data))
			flush(data[:n])
			data = data[n:]
			select {
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	default:
		_, _ = rw.Write(data)
	}
}

// refuse responds with a failure. retryAfter is the value of Retry-After, which
// may be malformed.
func refuse(rw http.ResponseWriter, status int, code wire.Code, retryAfter string) {
	if retryAfter != "" {
		rw.Header().Set("Retry-After", retryAfter)
	}
	if code == "" {
		rw.WriteHeader(status)
		return
	}
	f := wire.Failure{Status: status, Code: code, Message: "injected: " + string(code)}
	f.Write(rw)
}
