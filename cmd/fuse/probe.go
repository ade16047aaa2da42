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

// probeTimeout is the deadline of "fuse ready" and "fuse metrics". It is shorter than
// the timeout of the probe that runs the former, which is 5 s.
const probeTimeout = 4 * time.Second

// maxProbe bounds a response of the sidecar, in bytes.
const maxProbe = 4 << 20

// runReady queries the sidecar of this container and returns the exit code: 0 when
// it serves all volumes, 1 after it has printed one line for each volume that is
// not served, 2 for invalid flags.
func runReady(args []string, out io.Writer) int {
	status, body := query("ready", "/readyz", args)
	switch status {
	case http.StatusOK:
		return 0
	case http.StatusBadRequest:
		return 2
	}
	_, _ = fmt.Fprintln(out, strings.TrimSpace(body))
	return 1
}

// runMetrics prints the metrics of the sidecar of this container, which listens on no
// port, and returns the exit code: 0, 1 if it is not reachable, 2 for invalid flags.
func runMetrics(args []string, out io.Writer) int {
	status, body := query("metrics", "/metrics", args)
	if status == http.StatusBadRequest {
		return 2
	}
	_, _ = fmt.Fprintln(out, strings.TrimSpace(body))
	if status != http.StatusOK {
		return 1
	}
	return 0
}

// query requests a path of the sidecar of this container, and returns the status and
// the body of the response. The status is 400 for invalid flags, and 0 if there is no
// response; the body is the reason then.
func query(command, path string, args []string) (int, string) {
	flags := flag.NewFlagSet("fuse "+command, flag.ContinueOnError)
	dir := flags.String("dir", names.SidecarDir, "the --dir of the sidecar")
	if err := flags.Parse(args); err != nil {
		return http.StatusBadRequest, err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", filepath.Join(*dir, names.StateDir, healthSocket))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sidecar"+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Sprintf("the FUSE server is not reachable yet: %v", errors.Unwrap(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxProbe))
	if err != nil {
		return 0, fmt.Sprintf("read the response of the FUSE server: %v", err)
	}
	return response.StatusCode, string(body)
}
