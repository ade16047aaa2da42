// Package wire is what the object store drivers share of HTTP: one connection
// pool, deadlines that follow progress and not size, bodies that are counted
// and taken up again where they broke off, and errors that say what to do.
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

// NewClient makes an HTTP client for one store. Many ranges are read at once,
// so idle connections are kept by the hundred; HTTP/1.1, because many streams
// over one connection share one window. It follows no redirect (a store's
// redirect means a wrong endpoint), uses no proxy that the environment names
// (cached bytes must not travel by chance), and decodes nothing.
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

// userTimeout lets the kernel end a connection whose peer acknowledges nothing:
// without it a pooled connection that a firewall has forgotten costs its next
// request the whole deadline.
func userTimeout(_, _ string, conn syscall.RawConn) error {
	const limit = 15 * time.Second
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit/time.Millisecond))
	})
	return errors.Join(err, failed)
}

// sized sends bodies of no bytes with "Content-Length: 0". The drivers always
// know the length, but net/http takes 0 for unknown when there is a body, and
// sends it chunked.
type sized struct{ *http.Transport }

func (t sized) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength == 0 && r.Body != nil && r.Body != http.NoBody {
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	return t.Transport.RoundTrip(r)
}
