package clitest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

const (
	forwardProtocol = "portforward.k8s.io"
	tunnelProtocol  = "SPDY/3.1+portforward.k8s.io"
)

// portForward connects a pod's port with the address that the test set for it,
// over SPDY or SPDY in a WebSocket.
func (s *Server) portForward(w http.ResponseWriter, r *http.Request, c call) {
	if s.store.get(c.resource, c.Namespace, c.Name) == nil {
		respondError(w, apierrors.NewNotFound(c.gvr.GroupResource(), c.Name))
		return
	}
	streams := &pairs{failures: map[string]httpstream.Stream{}, waiting: map[string]httpstream.Stream{}}
	streams.join = func(data, failed httpstream.Stream) { s.join(c, data, failed) }
	conn := upgrade(w, r, streams.accept)
	if conn == nil {
		return // the response was written
	}
	select {
	case <-conn.CloseChan():
	case <-s.done.Done():
	}
	_ = conn.Close()
	streams.joining.Wait()
}

// upgrade turns a request into a connection of streams; it responds and returns
// nil if it cannot.
func upgrade(w http.ResponseWriter, r *http.Request, accept httpstream.NewStreamHandler) httpstream.Connection {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if _, err := httpstream.Handshake(r, w, []string{forwardProtocol}); err != nil {
			return nil
		}
		return spdy.NewResponseUpgrader().UpgradeResponse(w, r, accept)
	}
	socket, err := (&websocket.Upgrader{Subprotocols: []string{tunnelProtocol}}).Upgrade(w, r, nil)
	if err != nil {
		return nil
	}
	conn, err := spdy.NewServerConnection(portforward.NewTunnelingConnection("server", socket), accept)
	if err != nil {
		_ = socket.Close()
		return nil
	}
	return conn
}

// pairs matches the two streams of one forwarded connection: data and errors.
type pairs struct {
	join    func(data, failed httpstream.Stream)
	joining sync.WaitGroup

	mu       sync.Mutex
	failures map[string]httpstream.Stream
	waiting  map[string]httpstream.Stream
}

func (p *pairs) accept(stream httpstream.Stream, _ <-chan struct{}) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
	if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
		p.failures[id] = stream
	} else {
		p.waiting[id] = stream
	}
	failed, data := p.failures[id], p.waiting[id]
	if failed != nil && data != nil {
		delete(p.waiting, id)
		p.joining.Go(func() { p.join(data, failed) })
	}
	return nil
}

func (s *Server) join(c call, data, failed httpstream.Stream) {
	defer func() { _ = failed.Close() }()
	defer func() { _ = data.Close() }()
	port := data.Headers().Get(corev1.PortHeader)
	s.mu.Lock()
	address := s.targets[fmt.Sprintf("%s/%s:%s", c.Namespace, c.Name, port)]
	s.mu.Unlock()
	if address == "" {
		address = "127.0.0.1:1" // refuses connections
	}
	target, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		_, _ = fmt.Fprintf(failed, "error forwarding port %s to pod %s, uid : failed to connect to localhost:%s inside namespace: %v", port, c.Name, port, err)
		return
	}
	s.hold(target, true)
	defer s.hold(target, false)
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(target, data)
		if half, ok := target.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	})
	_, _ = io.Copy(data, target)
	_ = target.Close()
	_ = data.Reset()
	copying.Wait()
}

// hold registers a connection that Close must close, or removes it.
func (s *Server) hold(conn net.Conn, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.live[conn] = true
	} else {
		delete(s.live, conn)
	}
}
