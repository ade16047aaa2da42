// Package forward connects to ports of pods through the API server, as kubectl
// port-forward does, but without a listener on this machine: a connection is a
// net.Conn over a WebSocket, or over SPDY if the server or a proxy does not
// support WebSockets.
//
// Every Dial makes a connection of its own, and returns by the deadline of its
// context even if the API server, the kubelet or the pod does not respond.
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

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	constants "k8s.io/apimachinery/pkg/util/portforward"
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

// New returns a Forwarder; it sends nothing.
func New(config *rest.Config, namespace string) *Forwarder {
	own := rest.CopyConfig(config)
	own.Timeout = 0 // a connection outlives the request that created it
	return &Forwarder{config: own, namespace: namespace}
}

// ForbiddenError reports that the user may not forward ports.
type ForbiddenError struct {
	Namespace, Pod string
	// Message is the API server's.
	Message string
}

// Error names the missing right.
func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("no right to create pods/portforward in namespace %s", e.Namespace)
}

// Dial connects to a port of a pod. The caller must close the connection.
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
		go func() { // a late connection is closed
			if r := <-made; r.conn != nil {
				_ = r.conn.Close()
			}
		}()
		return nil, fmt.Errorf("forward port %d of pod %s: %w", port, pod, ctx.Err())
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
	// client-go's own dialers take no context, so a silent API server would block them.
	dialer := portforward.NewFallbackDialerForStreaming(f.webSocket(ctx, target), f.spdy(ctx, target), isUpgradeFailure)
	streams, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, f.explain(pod, port, err)
	}
	conn, err := open(streams, pod, port)
	if err != nil {
		_ = streams.Close()
		return nil, fmt.Errorf("forward port %d of pod %s: %w", port, pod, err)
	}
	return conn, nil
}

// isUpgradeFailure reports whether a server or proxy does not support WebSockets.
// A refusal of the API server itself is final.
func isUpgradeFailure(err error) bool {
	var status apierrors.APIStatus
	return (httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)) && !errors.As(err, &status)
}

// dialerFunc implements httpstream.Dialer.
type dialerFunc func(protocols ...string) (httpstream.Connection, string, error)

// Dial implements httpstream.Dialer.
func (d dialerFunc) Dial(protocols ...string) (httpstream.Connection, string, error) {
	return d(protocols...)
}

// webSocket returns a dialer that tunnels SPDY through a WebSocket.
func (f *Forwarder) webSocket(ctx context.Context, target *url.URL) dialerFunc {
	return func(protocols ...string) (httpstream.Connection, string, error) {
		transport, holder, err := websocket.RoundTripperFor(f.config)
		if err != nil {
			return nil, "", err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err != nil {
			return nil, "", err
		}
		tunnels := make([]string, len(protocols))
		for i, protocol := range protocols {
			tunnels[i] = constants.WebsocketsSPDYTunnelingPrefix + protocol
		}
		socket, err := websocket.Negotiate(transport, holder, request, tunnels...)
		if err != nil {
			return nil, "", err
		}
		streams, err := streamspdy.NewClientConnectionWithPings(portforward.NewTunnelingConnection("client", socket), portforward.PingPeriod)
		return streams, strings.TrimPrefix(socket.Subprotocol(), constants.WebsocketsSPDYTunnelingPrefix), err
	}
}

// spdy returns a dialer of SPDY without a WebSocket.
func (f *Forwarder) spdy(ctx context.Context, target *url.URL) dialerFunc {
	return func(protocols ...string) (httpstream.Connection, string, error) {
		transport, upgrader, err := spdy.RoundTripperFor(f.config)
		if err != nil {
			return nil, "", err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), nil)
		if err != nil {
			return nil, "", err
		}
		return spdy.NegotiateStreaming(upgrader, &http.Client{Transport: transport}, request, protocols...)
	}
}

func (f *Forwarder) url(pod string) (*url.URL, error) {
	base, _, err := rest.DefaultServerUrlFor(f.config)
	if err != nil {
		return nil, fmt.Errorf("parse the address of the API server: %w", err)
	}
	return base.JoinPath("api", "v1", "namespaces", f.namespace, "pods", pod, "portforward"), nil
}

// explain converts the response of an API server that did not switch protocols,
// which the clients of both protocols return as text.
func (f *Forwarder) explain(pod string, port int, err error) error {
	text := err.Error()
	switch {
	case apierrors.IsForbidden(err), strings.Contains(text, "is forbidden"):
		return &ForbiddenError{Namespace: f.namespace, Pod: pod, Message: text}
	case apierrors.IsNotFound(err), strings.Contains(text, "not found"):
		return fmt.Errorf("pod %s not found", pod)
	}
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Errorf("forward port %d of pod %s: %w", port, pod, err)
}

// open creates the two streams of one connection: data and errors.
func open(streams httpstream.Connection, pod string, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	failures, err := streams.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = failures.Close() // it is only read
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := streams.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	return join(streams, data, failures, address{pod, port}), nil
}
