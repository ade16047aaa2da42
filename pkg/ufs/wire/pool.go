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
		Transport: sized{&http.Transport{
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
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

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

// sized sends empty bodies with "Content-Length: 0". The drivers always know the
// length, but net/http takes 0 for unknown if there is a body, and sends it
// chunked.
type sized struct{ *http.Transport }

func (t sized) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength == 0 && r.Body != nil && r.Body != http.NoBody {
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	return t.Transport.RoundTrip(r)
}
