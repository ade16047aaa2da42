package server

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// keep caches a range that a worker that leaves has cached. It never reads from the
// store: without the bytes of that worker the range is not cached.
func (w *Worker) keep(r *http.Request, v *view, request wire.Request) *wire.Failure {
	peer, err := mtls.PeerOfState(*r.TLS)
	if err != nil || !peer.Is(mtls.Worker) {
		return forbidden("only a worker that leaves has its cache moved")
	}
	key := keyOf(request)
	if v.epochs("").Ring < request.RingEpoch {
		return &wire.Failure{
			Status: http.StatusServiceUnavailable, Code: wire.CodeUnavailable,
			Message: fmt.Sprintf("this worker has ring %d, not %d yet", v.epochs("").Ring, request.RingEpoch),
		}
	}
	if !v.owns(w.config.Name, v.nameOf(key, request.First)) {
		return notKept("this worker does not own the range")
	}
	if err := w.config.Blocks.Fits(key); err != nil {
		return notKept(err.Error())
	}
	from := v.previousMember(peer.Name)
	if from == nil {
		return notKept(fmt.Sprintf("worker %s was in no previous ring", peer.Name))
	}
	ctx, cancel := context.WithTimeout(r.Context(), keepTimeout)
	defer cancel()
	reader, err := w.config.Blocks.Read(ctx, blockstore.Request{
		Key: key, Offset: request.First, Length: request.Length(),
		Fetch: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			return w.peers.get(ctx, from, key, offset, length)
		},
	})
	if err == nil {
		_, err = reader.Copy(ctx, io.Discard)
		_ = reader.Close()
	}
	if err != nil {
		return notKept(fmt.Sprintf("read from worker %s: %v", peer.Name, err))
	}
	return nil
}

// notKept returns the failure for a range that a later request would not have cached
// either.
func notKept(message string) *wire.Failure {
	return &wire.Failure{Status: http.StatusConflict, Code: wire.CodeInvalid, Message: message}
}

// previousMember returns a worker of a previous ring, the newest entry of it; nil if it
// is in none.
func (v *view) previousMember(name string) *commonv1.RingMember {
	for _, r := range v.previous {
		for _, m := range r.Members() {
			if m.GetName() == name {
				return m
			}
		}
	}
	return nil
}
