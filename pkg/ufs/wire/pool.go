// Package wire holds what the drivers of object stores share: a connection pool,
// deadlines that depend on progress and not on size, bodies that are counted and
// resumed, and errors that say what to do.
package wire

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// NewClient returns an HTTP client for one store. It keeps hundreds of idle
// connections, since many ranges are read concurrently, and uses HTTP/1.1,
// because many streams over one connection share one window. It follows no
// redirects (a redirect of a store means a wrong endpoint), uses no proxy of the
// environment (cached bytes must not leave the network by accident), and does
// not decompress.
func NewClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second, Control: userTimeout}
	return &http.Client{
		Transport: guard{&http.Transport{
			DialContext:           dialer.DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			TLSNextProto:          map[string]func(string, *tls.Conn) http.RoundTripper{},
			MaxIdleConns:          512,
			MaxIdleConnsPerHost:   512,
			IdleConnTimeout:       45 * time.Second, // stores close after 60 s
			ExpectContinueTimeout: time.Second,
			ReadBufferSize:        64 << 10,
			WriteBufferSize:       64 << 10,
			DisableCompression:    true,

			MaxResponseHeaderBytes: maxHeader,
		}},
		CheckRedirect: keepRedirect,
	}
}

// Guard returns a client that uses the transport of another one as [NewClient]
// would; nil returns a new client. The client must be used with a [Caller].
func Guard(client *http.Client) *http.Client {
	if client == nil {
		return NewClient()
	}
	guarded := *client
	if guarded.Transport == nil {
		guarded.Transport = http.DefaultTransport
	}
	guarded.Transport = guard{guarded.Transport}
	guarded.CheckRedirect = keepRedirect
	return &guarded
}

func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// userTimeout makes the kernel close a connection whose peer acknowledges
// nothing. Without it, the next request on a pooled connection that a firewall
// has dropped takes the whole deadline.
func userTimeout(_, _ string, conn syscall.RawConn) error {
	const limit = 15 * time.Second
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit/time.Millisecond))
	})
	return errors.Join(err, failed)
}
