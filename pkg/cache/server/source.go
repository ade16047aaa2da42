package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/blockstore"
	"github.com/jindo-io/jindo/pkg/cache/transport"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// source fetches the missing bytes of a version: from the workers that owned it
// under previous rings, while the ring is new, and from the store.
type source struct {
	worker *Worker
	view   *view
	entry  *mounted
	key    blockstore.Key
	owner  bool

	mu sync.Mutex
	// storeOnly is set once no previous owner had the version.
	storeOnly bool
}

// peerWindow is how long after a change of the ring its previous owners are
// used. Later, what they had cached was read here or expired.
const peerWindow = time.Hour

func (s *source) fetch(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if body := s.fromPeers(ctx, offset, length); body != nil {
		return body, nil
	}
	store, err := s.entry.use(ctx)
	if err != nil {
		return nil, err
	}
	release, err := s.entry.request(ctx)
	if err != nil {
		return nil, err
	}
	s.worker.metrics.storeRequests.Inc()
	body, object, err := store.Get(ctx, s.key.Key, ufs.Range{Offset: offset, Length: length}, s.key.ETag)
	if err == nil && (object.Size != s.key.Size || object.ETag != s.key.ETag) {
		_ = body.Close()
		err = fmt.Errorf("key %q has %d bytes and entity tag %s, want %d and %s: %w", s.key.Key, object.Size, object.ETag, s.key.Size, s.key.ETag, ufs.ErrPrecondition)
	}
	s.entry.note(err)
	if err != nil {
		release()
		s.worker.metrics.storeErrors.WithLabelValues(string(failureOf(err).Code)).Inc()
		return nil, err
	}
	return &countedBody{ReadCloser: body, worker: s.worker, entry: s.entry, release: release}, nil
}

// countedBody counts the bytes that the store sends, and its errors.
type countedBody struct {
	io.ReadCloser
	worker *Worker
	entry  *mounted
	// release ends the GET for the limit of the mount.
	release func()
}

// Close ends the request.
func (b *countedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.worker.storeBytes.Add(uint64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		b.entry.note(err)
		b.worker.metrics.storeErrors.WithLabelValues(string(failureOf(err).Code)).Inc()
	}
	return n, err
}

// fromPeers returns the bytes from a previous owner; nil if none has them.
func (s *source) fromPeers(ctx context.Context, offset, length int64) io.ReadCloser {
	s.mu.Lock()
	skip := s.storeOnly
	s.mu.Unlock()
	if skip || !s.owner || s.view == nil || time.Since(s.view.ringSeen) > peerWindow {
		return nil
	}
	tried := map[string]bool{s.worker.config.Name: true}
	for _, previous := range s.view.previous {
		order := previous.Order(stripeName(previous, s.key, offset))
		if len(order) == 0 || tried[order[0].GetName()] {
			continue
		}
		tried[order[0].GetName()] = true
		if !s.worker.held.mayHold(s.view, order[0], s.key) {
			continue
		}
		body, err := s.worker.peers.get(ctx, order[0], s.key, offset, length)
		if err == nil {
			return body
		}
		s.worker.config.Logger.Debug("previous owner has no cached bytes", "worker", order[0].GetName(), "key", s.key.Key, "error", err)
	}
	s.mu.Lock()
	s.storeOnly = true
	s.mu.Unlock()
	return nil
}

// peers are the clients of other workers, used to read their cached bytes.
type peers struct {
	identity *mtls.Identity
	// sockets is the directory of the sockets of the workers on this host.
	sockets string
	timeout time.Duration

	mu      sync.Mutex
	clients map[string]*http.Client
	// resting holds until when a peer that failed is not used.
	resting map[string]time.Time
}

// peerRest is how long a peer that failed is not used.
const peerRest = 5 * time.Second

func newPeers(identity *mtls.Identity, sockets string, timeout time.Duration) *peers {
	return &peers{identity: identity, sockets: sockets, timeout: timeout, clients: map[string]*http.Client{}, resting: map[string]time.Time{}}
}

var errNotCachedByPeer = errors.New("the peer does not have it cached")

// get reads a range from one peer, if the peer has it cached.
func (p *peers) get(ctx context.Context, member *commonv1.RingMember, key blockstore.Key, offset, length int64) (io.ReadCloser, error) {
	body, failure, err := p.request(ctx, member, wire.Request{
		Mount: key.Mount, Key: key.Key, ETag: key.ETag, Size: key.Size, First: offset, Last: offset + length - 1, OnlyIfCached: true,
	}, p.timeout)
	if failure != "" {
		err = fmt.Errorf("%w: %w", err, errNotCachedByPeer)
	}
	return body, err
}

// request sends a request to one peer. The header of the response must arrive within
// the timeout. An error with a code is the failure that the peer has sent, or
// [wire.CodeInvalid] for what is not a response of a worker.
func (p *peers) request(ctx context.Context, member *commonv1.RingMember, wanted wire.Request, timeout time.Duration) (io.ReadCloser, wire.Code, error) {
	client, ok := p.client(member.GetName())
	if !ok {
		return nil, "", errNotCachedByPeer
	}
	address := net.JoinHostPort(member.GetHost(), strconv.FormatUint(uint64(member.GetPort()), 10))
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(timeout, cancel)
	request, err := wire.NewHTTPRequest(ctx, address, wanted)
	if err != nil {
		cancel()
		return nil, "", fmt.Errorf("read from worker %s: %w", member.GetName(), err)
	}
	response, err := client.Do(request)
	late.Stop()
	if err != nil {
		cancel()
		if parent.Err() == nil {
			// The end of the download says nothing about the peer.
			p.rest(member.GetName())
		}
		return nil, "", fmt.Errorf("read from worker %s: %w", member.GetName(), err)
	}
	if _, err := wire.ContentFor(response, wanted); err != nil {
		late.Reset(timeout)
		code, err := refusedBy(response, err)
		_ = response.Body.Close()
		late.Stop()
		cancel()
		return nil, code, fmt.Errorf("read from worker %s: %w", member.GetName(), err)
	}
	return &peerBody{ReadCloser: response.Body, cancel: cancel}, "", nil
}

// refusedBy returns the reason in a response without the bytes, or err, which is
// what is wrong with its header. It reads a failure to its end, because the
// connection of a body that is closed unread cannot be used again: every cold
// file would connect anew.
func refusedBy(response *http.Response, err error) (wire.Code, error) {
	if response.StatusCode == http.StatusPartialContent {
		return wire.CodeInvalid, err
	}
	failure, unreadable := wire.ReadFailure(response)
	if unreadable != nil {
		return wire.CodeInvalid, unreadable
	}
	return failure.Code, fmt.Errorf("%s: %s", failure.Code, failure.Message)
}

type peerBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *peerBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func (p *peers) client(name string) (*http.Client, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until, ok := p.resting[name]; ok {
		if time.Now().Before(until) {
			return nil, false
		}
		delete(p.resting, name)
	}
	client := p.clients[name]
	if client == nil {
		client = &http.Client{Transport: transport.New(transport.Config{Identity: p.identity, Worker: name, SocketDir: p.sockets})}
		p.clients[name] = client
	}
	return client, true
}

func (p *peers) rest(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting[name] = time.Now().Add(peerRest)
}

func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, client := range p.clients {
		client.CloseIdleConnections()
	}
}
