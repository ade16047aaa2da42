package daemon

import (
	"context"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
)

func parseProfiling(args ...string) (*Profiling, error) {
	p := &Profiling{}
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	p.AddFlag(flags)
	return p, flags.Parse(args)
}

// TestProfilesAreServedOnLoopbackOnly: by default there is no port, and an
// address that others can reach is refused.
func TestProfilesAreServedOnLoopbackOnly(t *testing.T) {
	p, err := parseProfiling()
	if err != nil || p.address.IsValid() {
		t.Fatalf("by default, profiles are served on %s (%v)", p.address, err)
	}
	if err := p.Serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{":6060", "0.0.0.0:6060", "[::]:6060", "10.0.0.1:6060", "localhost:6060", "127.0.0.1", "[::ffff:10.0.0.1]:6060"} {
		if _, err := parseProfiling("--pprof-listen=" + address); err == nil {
			t.Errorf("%s was accepted", address)
		}
	}
	for _, address := range []string{"127.0.0.1:6060", "[::1]:6060", "127.3.2.1:0", "[::ffff:127.0.0.1]:6060"} {
		if _, err := parseProfiling("--pprof-listen=" + address); err != nil {
			t.Errorf("%s was refused: %v", address, err)
		}
	}
}

func TestProfiles(t *testing.T) {
	listener := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&Profiling{}).serve(ctx, listener) }()
	response, err := http.Get("http://" + listener.Addr().String() + "/debug/pprof/goroutine?debug=1") //nolint:noctx // A test on loopback.
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || !strings.Contains(string(body), "goroutine profile") {
		t.Errorf("got %.200q, %v", body, err)
	}
	// The health port has no profiles.
	if code, _ := get(t, NewHealth(), "/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("the health port returns status %d", code)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
