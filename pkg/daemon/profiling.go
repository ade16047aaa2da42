package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/jindo-io/jindo/pkg/netlimit"
)

// Profiling serves the profiles of the process, as net/http/pprof does, to
// processes of the same machine or pod. Profiles contain names and addresses of
// what the process does, and taking one costs it time, so that nothing is served
// unless an address is set, and only a loopback address is accepted.
type Profiling struct{ address netip.AddrPort }

// AddFlag adds the flag --pprof-listen.
func (p *Profiling) AddFlag(flags *flag.FlagSet) {
	flags.Func("pprof-listen", "loopback address for profiles, such as 127.0.0.1:6060; none are served by default", p.set)
}

func (p *Profiling) set(value string) error {
	if value == "" {
		p.address = netip.AddrPort{}
		return nil
	}
	address, err := netip.ParseAddrPort(value)
	if err != nil || !address.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%q is not a loopback address with a port: write 127.0.0.1:6060 or [::1]:6060", value)
	}
	p.address = address
	return nil
}

// Serve serves the profiles until ctx is done. Without an address it returns nil
// at once.
func (p *Profiling) Serve(ctx context.Context) error {
	if !p.address.IsValid() {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.address.String())
	if err != nil {
		return fmt.Errorf("listen for profiles: %w", err)
	}
	return p.serve(ctx, listener)
}

func (p *Profiling) serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: defaultLimits.header, IdleTimeout: defaultLimits.idle,
		WriteTimeout: 5 * time.Minute, MaxHeaderBytes: maxHeader, ErrorLog: log.New(io.Discard, "", 0),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	limited := netlimit.Listen(listener, netlimit.Config{Port: "pprof", Limits: netlimit.Limits{Pending: 16, PerAddress: 16}})
	if err := server.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve profiles on %s: %w", listener.Addr(), err)
	}
	return nil
}
