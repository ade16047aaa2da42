package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/jindo-io/jindo/test/e2e/cluster/assets"
)

//go:embed metrics.yaml
var metricsManifest string

// metrics builds the metrics server, installs it, and waits until it serves.
func (a app) metrics(ctx context.Context) error {
	record, err := a.running()
	if err != nil {
		return err
	}
	dir := filepath.Join(a.layout.Bin(), "metrics")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := a.builder.MetricsServer(ctx, a.layout.Bin(), dir); err != nil {
		return err
	}
	if err := a.imported(ctx, record, dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, installing)
	defer cancel()
	manifest, err := template.New("metrics").Parse(metricsManifest)
	if err != nil {
		return err
	}
	var rendered bytes.Buffer
	if err := manifest.Execute(&rendered, assets.MetricsImage); err != nil {
		return err
	}
	command := a.command(ctx, "apply", "--server-side", "-f", "-")
	command.Stdin = &rendered
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("install the metrics server: %w: %s", err, out)
	}
	_, err = a.kubectl(ctx, "wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout=120s")
	return err
}
