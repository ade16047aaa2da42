package fakeworker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Fault of one range. The zero value is none.
type Fault struct {
	// Status and Code refuse; Code "" sends no JSON at all.
	Status int
	Code   string
	// RetryAfter of a refusal.
	RetryAfter string
	// HangBefore the header, until the reader gives up.
	HangBefore bool
	// Cut the connection after so many bytes of the body; -1 cuts before the
	// header.
	Cut int
	// HangAfter so many bytes of the body; -1 is right after the header.
	HangAfter int
	// Trickle sends so many bytes every 10 ms.
	Trickle int
	// ETag, Range and Length replace what the headers say.
	ETag, Range string
	Length      int
	// Chunked leaves Content-Length out.
	Chunked bool
	// Empty answers 206 and nothing else.
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
	v := w.view.Load()
	h := rw.Header()
	h.Set("Jindo-Ring-Epoch", strconv.FormatUint(v.GetRing().GetEpoch(), 10))
	h.Set("Jindo-Mount-Epoch", strconv.FormatUint(w.epochs().GetMount(), 10))
	h.Set("Jindo-View-Index", strconv.FormatUint(v.GetIndex(), 10))
	h.Set("Jindo-Source", "store")
	if r.Header.Get("Jindo-Only-If-Cached") == "1" {
		refuse(rw, http.StatusNotFound, "not_cached", "")
		return
	}
	key, ok := keyOf(r)
	o, found := w.cluster.Bucket.Get(key)
	etag := strings.Trim(r.Header.Get("If-Match"), `"`)
	switch {
	case !ok || etag == "" || r.Header.Get("Jindo-Size") == "":
		refuse(rw, http.StatusBadRequest, "invalid", "")
		return
	case !found:
		refuse(rw, http.StatusNotFound, "not_found", "")
		return
	case o.ETag != etag:
		refuse(rw, http.StatusPreconditionFailed, "stale", "")
		return
	}
	var first, last int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil || first > last || last >= len(o.Data) {
		refuse(rw, http.StatusRequestedRangeNotSatisfiable, "invalid_range", "")
		return
	}
	f.send(rw, r, o, first, last)
}

func keyOf(r *http.Request) (string, bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1/objects/"+MountID+"/")
	segments := strings.Split(rest, "/")
	for i := range segments {
		plain, err := url.PathUnescape(segments[i])
		if err != nil {
			return "", false
		}
		segments[i] = plain
	}
	return strings.Join(segments, "/"), ok
}

func (f Fault) send(rw http.ResponseWriter, r *http.Request, o Object, first, last int) {
	h := rw.Header()
	set := func(name, value, instead string) {
		if instead != "" {
			value = instead
		}
		h.Set(name, value)
	}
	set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(o.Data)), f.Range)
	set("ETag", `"`+o.ETag+`"`, f.ETag)
	if !f.Chunked {
		length := last - first + 1
		if f.Length != 0 {
			length = f.Length
		}
		h.Set("Content-Length", strconv.Itoa(length))
	}
	rw.WriteHeader(http.StatusPartialContent)
	if f.Empty {
		panic(http.ErrAbortHandler)
	}
	data := o.Data[first : last+1]
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

func refuse(rw http.ResponseWriter, status int, code, retryAfter string) {
	if retryAfter != "" {
		rw.Header().Set("Retry-After", retryAfter)
	}
	if code == "" {
		rw.WriteHeader(status)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(map[string]string{"code": code, "message": "as told: " + code})
}
