package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

const (
	// heldAfter is how long after a change of the ring the previous owners are
	// requested what they hold. Until then clients with the previous ring may still
	// read through them. A previous owner that holds nothing directly after the change,
	// as in a cluster that was just formed, is requested nothing in that time either;
	// the store then sends twice what such clients have it fetch.
	heldAfter = 10 * time.Second
	// heldRetry is the time between two requests to a peer that has not responded.
	heldRetry = 10 * time.Second
	// heldTimeout bounds such a request.
	heldTimeout = 10 * time.Second
)

// serveHeld serves the set of the versions that this worker holds.
func (w *Worker) serveHeld(rw http.ResponseWriter, r *http.Request) {
	peer, err := mtls.PeerOfState(*r.TLS)
	if err != nil || !peer.Is(mtls.Worker) {
		forbidden("only workers are served what this worker holds").Write(rw)
		return
	}
	hashes, err := w.config.Blocks.Held()
	if err != nil {
		failureOf(err).Write(rw)
		return
	}
	set := wire.NewHeld(len(hashes))
	for _, h := range hashes {
		set.Add(h)
	}
	body := set.Encode()
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)))
	out := &pacedWriter{w: rw, control: http.NewResponseController(rw), timeout: w.config.WriteTimeout}
	_, _ = out.Write(body)
}

// held are the sets of what peers held after the last change of the ring. A previous
// owner is not requested the bytes of a version that is not in its set: it has
// cached nothing since that it does not own, apart from node copies, of which the
// owner has the bytes. It is safe for concurrent use.
type held struct {
	peers *peers
	// after is heldAfter; tests shorten it.
	after time.Duration
	ctx   context.Context
	stop  context.CancelFunc

	mu   sync.Mutex
	sets map[string]*heldSet
	wg   sync.WaitGroup
}

// heldSet is what one peer held.
type heldSet struct {
	// epoch of the ring after whose change the set was made.
	epoch uint64
	// early is set if it was requested before heldAfter had passed: only an empty set
	// is used then, and the set is requested again afterwards.
	early bool
	// set is nil until the peer has responded.
	set      *wire.Held
	fetching bool
	next     time.Time
}

func newHeld(p *peers) *held {
	h := &held{peers: p, after: heldAfter, sets: map[string]*heldSet{}}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends the requests in progress.
func (h *held) close() {
	h.mu.Lock()
	h.stop()
	h.mu.Unlock()
	h.wg.Wait()
}

// mayHold reports whether a previous owner may hold a version. It does not wait: it
// returns true while the peer has not responded.
func (h *held) mayHold(v *view, member *commonv1.RingMember, key blockstore.Key) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	early := now.Sub(v.ringSeen) < h.after
	s := h.sets[member.GetName()]
	if s == nil || s.epoch != v.GetRing().GetEpoch() || s.early && !early {
		s = &heldSet{epoch: v.GetRing().GetEpoch(), early: early}
		h.sets[member.GetName()] = s
	}
	if s.set != nil {
		return s.early && !s.set.Empty() || s.set.Contains(key.Sum())
	}
	if !s.fetching && now.After(s.next) && h.ctx.Err() == nil {
		s.fetching, s.next = true, now.Add(heldRetry)
		h.wg.Go(func() { h.fetch(h.ctx, member, s) })
	}
	return true
}

// fetch requests a set.
func (h *held) fetch(ctx context.Context, member *commonv1.RingMember, s *heldSet) {
	ctx, cancel := context.WithTimeout(ctx, heldTimeout)
	defer cancel()
	set, err := h.peers.held(ctx, member)
	h.mu.Lock()
	defer h.mu.Unlock()
	s.fetching = false
	if err == nil {
		s.set = set
	}
}

// held requests the set of the versions that a peer holds.
func (p *peers) held(ctx context.Context, member *commonv1.RingMember) (*wire.Held, error) {
	client, ok := p.client(member.GetName())
	if !ok {
		return nil, errNotCachedByPeer
	}
	target := url.URL{
		Scheme: "https", Host: net.JoinHostPort(member.GetHost(), strconv.FormatUint(uint64(member.GetPort()), 10)), Path: wire.HeldPath,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	return wire.ReadHeld(response.Body)
}
