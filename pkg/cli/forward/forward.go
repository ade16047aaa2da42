// Package forward reaches ports of pods through the API server, as kubectl
// port-forward does but without a listener on this machine: a connection is a
// net.Conn, made over a WebSocket, or over SPDY where the server or a proxy on
// the way speaks no WebSocket.
//
// Every Dial is a connection of its own and ends by the deadline of its context,
// whatever the API server, the kubelet or the pod does or does not say.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"
)

// Forwarder dials pods of one namespace.
type Forwarder struct {
	config    *rest.Config
	namespace string
}

// New makes a Forwarder; nothing is sent yet.
func New(config *rest.Config, namespace string) *Forwarder {
	own := rest.CopyConfig(config)
	own.Timeout = 0 // a connection outlives the request that made it
	return &Forwarder{config: own, namespace: namespace}
}

// ForbiddenError says that the caller may not forward ports.
type ForbiddenError struct {
	Namespace, Pod string
	// Message of the API server.
	Message string
}

// Error names the right.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("no right to create pods/portforward in namespace %s", e.Namespace)
}

// Dial connects to a port of a pod.
func (f *Forwarder) Dial(ctx context.Context, pod string, port int) (net.Conn, error) {
	made := make(chan result, 1)
	go func() {
		conn, err := f.dial(ctx, pod, port)
		made <- result{conn, err}
	}()
	select {
	case r := <-made:
		return r.conn, r.err
	case <-ctx.Done():
		go func() { // whoever answers after all is not needed
			if r := <-made; r.conn != nil {
				_ = r.conn.Close()
			}
		}()
		return nil, fmt.Errorf("forwarding port %d of pod %s: %w", port, pod, ctx.Err())
	}
}

type result struct {
	conn net.Conn
	err  error
}

func (f *Forwarder) dial(ctx context.Context, pod string, port int) (net.Conn, error) {
	target, err := f.url(pod)
	if err != nil {
		return nil, err
	}
	streams, err := f.overWebSocket(ctx, target)
	var status apierrors.APIStatus
	if (httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)) && !errors.As(err, &status) {
		streams, err = f.overSPDY(ctx, target)
	}
	if err != nil {
		return nil, f.explain(pod, port, err)
	}
	conn, err := open(streams, pod, port)
	if err != nil {
		_ = streams.Close()
		return nil, fmt.Errorf("forwarding port %d of pod %s: %w", port, pod, err)
	}
	return conn, nil
}

const (
	protocol = "portforward.k8s.io"
	tunnel   = "SPDY/3.1+" + protocol
	pings    = 10 * time.Second
)

func (f *Forwarder) overWebSocket(ctx context.Context, target *url.URL) (httpstream.Connection, error) {
	transport, holder, err := websocket.RoundTripperFor(f.config)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	socket, err := websocket.Negotiate(transport, holder, request, tunnel)
	if err != nil {
		return nil, err
	}
	return streamspdy.NewClientConnectionWithPings(portforward.NewTunnelingConnection("client", socket), pings)
}

func (f *Forwarder) overSPDY(ctx context.Context, target *url.URL) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
	if err != nil {
		return nil, err
	}
	streams, _, err := spdy.NegotiateStreaming(upgrader, &http.Client{Transport: transport}, request, protocol)
	return streams, err
}

func (f *Forwarder) url(pod string) (*url.URL, error) {
	base, _, err := rest.DefaultServerUrlFor(f.config)
	if err != nil {
		return nil, fmt.Errorf("reading the address of the API server: %w", err)
	}
	return base.JoinPath("api", "v1", "namespaces", f.namespace, "pods", pod, "portforward"), nil
}

// explain what the API server said instead of switching protocols: the clients
// of both protocols hand it on as text.
func (f *Forwarder) explain(pod string, port int, err error) error {
	text := err.Error()
	switch {
	case apierrors.IsForbidden(err), strings.Contains(text, "is forbidden"):
		return &ForbiddenError{Namespace: f.namespace, Pod: pod, Message: text}
	case apierrors.IsNotFound(err), strings.Contains(text, "not found"):
		return fmt.Errorf("there is no pod %s", pod)
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Errorf("forwarding port %d of pod %s: %w", port, pod, err)
}

// open the two streams of one connection: its data and its errors.
func open(streams httpstream.Connection, pod string, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	failures, err := streams.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = failures.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := streams.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	return join(streams, data, failures, address{pod, port}), nil
}
