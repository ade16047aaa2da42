package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/jindo-io/jindo/test/e2e/cluster/control"
	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/node"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// running returns the record of the running cluster, or an error that says how to
// start one.
func (a app) running() (state.Record, error) {
	record, found, err := a.layout.Read()
	if err != nil {
		return record, err
	}
	if !found || !runs(record) {
		return record, fmt.Errorf("no cluster runs in %s: start one with `make cluster-up`", a.layout.Dir)
	}
	return record, nil
}

// images builds the images that nodes import.
func (a app) images(ctx context.Context) error {
	for _, dir := range []string{a.layout.Bin(), a.layout.Images()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(a.builder.TestImages(ctx, a.layout.Bin(), a.layout.Images()), a.builder.Jindo(ctx, a.layout.Images()))
}

// load builds the images from the current sources and imports them. Running pods
// keep their image; new pods use the new one.
func (a app) load(ctx context.Context) error {
	record, err := a.running()
	if err != nil {
		return err
	}
	if err := a.images(ctx); err != nil {
		return err
	}
	return a.imported(ctx, record, a.layout.Images())
}

// earlier builds the image of an earlier commit, and imports it into every node
// beside the present one. Its manifests are kept for install.
func (a app) earlier(ctx context.Context, commit string) error {
	record, err := a.running()
	if err != nil {
		return err
	}
	dir := a.layout.Earlier()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	source, images := filepath.Join(dir, "source"), filepath.Join(dir, "images")
	for _, d := range []string{source, images} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := a.builder.Earlier(ctx, commit, source, images); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(source, "manifests"), filepath.Join(dir, "manifests")); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(source), a.imported(ctx, record, images))
}

// imported imports the images in a directory into every node.
func (a app) imported(ctx context.Context, record state.Record, images string) error {
	var importing sync.WaitGroup
	failed := make([]error, state.Nodes)
	for i := range failed {
		name := state.NodeName(i + 1)
		importing.Go(func() {
			enter := []string{"nsenter", "--target", strconv.Itoa(record.Nodes[name]), "--mount", "--net", "--"}
			if err := node.Import(ctx, images, enter); err != nil {
				failed[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	importing.Wait()
	return errors.Join(failed...)
}

// apiserver is the name under which the API server can be cut off like a node.
const apiserver = "apiserver"

// cut disconnects a node or the API server, or reconnects it. Both are idempotent.
func (a app) cut(ctx context.Context, name string, off bool) error {
	record, err := a.running()
	if err != nil {
		return err
	}
	if name == apiserver {
		return cutAPI(ctx, record, off)
	}
	if _, err := state.NodeNumber(name); err != nil {
		return err
	}
	how := "up"
	if off {
		how = "down"
	}
	return machine.IP(ctx, record.ID, "link", "set", control.Port(name), how)
}

// cutAPI makes the API server's port reject traffic, of open connections too.
func cutAPI(ctx context.Context, record state.Record, off bool) error {
	const table = "jindo-cut"
	inside := func(args ...string) error {
		return machine.Run(ctx, "nsenter", append([]string{"--net=" + filepath.Join(machine.Namespaces, record.ID), "nft"}, args...)...)
	}
	// Adding the table first makes its deletion succeed whether it existed or not.
	if err := errors.Join(inside("add", "table", "inet", table), inside("delete", "table", "inet", table)); err != nil || !off {
		return err
	}
	return errors.Join(
		inside("add", "table", "inet", table),
		inside("add", "chain", "inet", table, "input", "{ type filter hook input priority 0 ; }"),
		inside("add", "rule", "inet", table, "input", "tcp", "dport", strconv.Itoa(state.APIPort), "reject", "with", "tcp", "reset"),
	)
}

// environment returns the variables that users and tests need, as shell script.
func (a app) environment(ports []string) string {
	values := []struct{ name, value string }{
		{"KUBECONFIG", a.layout.Kubeconfig()},
		{"JINDO_CLUSTER", a.layout.Dir},
		{"OSS_ENDPOINT", "http://" + state.Bridge + ":" + strconv.Itoa(state.OSSPort)},
		{"OSS_LOCAL_ENDPOINT", "http://" + ports[1]},
		{"OSS_ACCESS_KEY_ID", state.AccessKeyID},
		{"OSS_ACCESS_KEY_SECRET", state.AccessKeySecret},
		{"OSS_BUCKET", state.Bucket},
		{"OSS_DIRECTORY", filepath.Join(a.layout.OSS(), state.Bucket)},
		{"S3_ENDPOINT", "http://" + state.Bridge + ":" + strconv.Itoa(state.S3Port)},
		{"S3_LOCAL_ENDPOINT", "http://" + ports[2]},
		{"S3_ACCESS_KEY_ID", state.AccessKeyID},
		{"S3_ACCESS_KEY_SECRET", state.AccessKeySecret},
		{"S3_REGION", "us-east-1"},
		{"S3_BUCKET", state.Bucket},
		{"S3_DIRECTORY", filepath.Join(a.layout.S3(), state.Bucket)},
	}
	var text strings.Builder
	for _, v := range values {
		fmt.Fprintf(&text, "%s='%s'\n", v.name, v.value)
	}
	return text.String()
}

func (a app) instructions() string {
	short := func(path string) string {
		if relative, err := filepath.Rel(a.builder.Root, path); err == nil && !strings.HasPrefix(relative, "..") {
			return relative
		}
		return path
	}
	return fmt.Sprintf(`
  %[1]s get nodes          kubectl of this cluster
  export KUBECONFIG=%[2]s
  cat %[3]s                        object stores: endpoints, keys, directories
  %[4]s/                          a log for each process
  bin/cluster cut node2; bin/cluster return node2
  make cluster-load; make cluster-down
`, short(a.layout.Kubectl()), a.layout.Kubeconfig(), short(a.layout.Env()), short(a.layout.Logs()))
}
