package oss_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// listen serves a handler and returns its address.
func listen(t testing.TB, handler http.Handler) string {
	t.Helper()
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	return listener.Listener.Addr().String()
}

// redirected connects to one address for every host name.
func redirected(address string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
	}}
}
