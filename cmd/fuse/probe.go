//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// probeTimeout is the deadline of "fuse ready". It is shorter than the timeout of
// the probe that runs it, which is 5 s.
const probeTimeout = 4 * time.Second

// runReady queries the sidecar of this container and returns the exit code: 0 when
// it serves all volumes, 1 after it has printed one line for each volume that is
// not served, 2 for invalid flags.
func runReady(args []string, out io.Writer) int {
	flags := flag.NewFlagSet("fuse ready", flag.ContinueOnError)
	dir := flags.String("dir", names.SidecarDir, "the --dir of the sidecar")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	problem := queryReady(ctx, filepath.Join(*dir, names.StateDir, healthSocket))
	if problem == "" {
		return 0
	}
	_, _ = fmt.Fprintln(out, problem)
	return 1
}

// queryReady returns why the sidecar at a socket is not ready; empty when it is.
func queryReady(ctx context.Context, socket string) string {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sidecar/readyz", nil)
	if err != nil {
		return err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Sprintf("the FUSE server is not reachable yet: %v", errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<10))
	if err != nil {
		return fmt.Sprintf("read the response of the FUSE server: %v", err)
	}
	return strings.TrimSpace(string(body))
}
