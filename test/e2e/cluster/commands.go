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

// running answers the record of the cluster, or a sentence.
func (p person) running() (state.Record, error) {
	record, found, err := p.layout.Read()
	if err != nil {
		return record, err
	}
	if !found || !runs(record) {
		return record, fmt.Errorf("no cluster runs in %s: start one with `make cluster-up`", p.layout.Dir)
	}
	return record, nil
}

// images builds what nodes import.
func (p person) images(ctx context.Context) error {
	for _, dir := range []string{p.layout.Bin(), p.layout.Images()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(p.builder.TestImages(ctx, p.layout.Bin(), p.layout.Images()), p.builder.Jindo(ctx, p.layout.Images()))
}

// load imports what is built of the sources as they are now. Pods keep what
// they run; new ones take the new image.
func (p person) load(ctx context.Context) error {
	record, err := p.running()
	if err != nil {
		return err
	}
	if err := p.images(ctx); err != nil {
		return err
	}
	var importing sync.WaitGroup
	failed := make([]error, state.Nodes)
	for i := range failed {
		name := state.NodeName(i + 1)
		importing.Go(func() {
			enter := []string{"nsenter", "--target", strconv.Itoa(record.Nodes[name]), "--mount", "--net", "--"}
			if err := node.Import(ctx, p.layout.Images(), enter); err != nil {
				failed[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	importing.Wait()
	return errors.Join(failed...)
}

// apiserver may be cut off like a node.
const apiserver = "apiserver"

// cut cuts off, or returns, a node or the API server. Doing either twice
// changes nothing.
func (p person) cut(ctx context.Context, name string, off bool) error {
	record, err := p.running()
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

// cutAPI makes the API server's port refuse connections, open ones too.
func cutAPI(ctx context.Context, record state.Record, off bool) error {
	const table = "jindo-cut"
	inside := func(args ...string) error {
		return machine.Run(ctx, "nsenter", append([]string{"--net=" + filepath.Join(machine.Namespaces, record.ID), "nft"}, args...)...)
	}
	// Adding before deleting makes deleting right whether it was cut or not.
	if err := errors.Join(inside("add", "table", "inet", table), inside("delete", "table", "inet", table)); err != nil || !off {
		return err
	}
	return errors.Join(
		inside("add", "table", "inet", table),
		inside("add", "chain", "inet", table, "input", "{ type filter hook input priority 0 ; }"),
		inside("add", "rule", "inet", table, "input", "tcp", "dport", strconv.Itoa(state.APIPort), "reject", "with", "tcp", "reset"),
	)
}

// environment names everything that a person or a test needs, for a shell.
func (p person) environment(ports []string) string {
	values := []struct{ name, value string }{
		{"KUBECONFIG", p.layout.Kubeconfig()},
		{"JINDO_CLUSTER", p.layout.Dir},
		{"OSS_ENDPOINT", "http://" + state.Bridge + ":" + strconv.Itoa(state.OSSPort)},
		{"OSS_LOCAL_ENDPOINT", "http://" + ports[1]},
		{"OSS_ACCESS_KEY_ID", state.AccessKeyID},
		{"OSS_ACCESS_KEY_SECRET", state.AccessKeySecret},
		{"OSS_BUCKET", state.Bucket},
		{"OSS_DIRECTORY", filepath.Join(p.layout.OSS(), state.Bucket)},
		{"S3_ENDPOINT", "http://" + state.Bridge + ":" + strconv.Itoa(state.S3Port)},
		{"S3_LOCAL_ENDPOINT", "http://" + ports[2]},
		{"S3_ACCESS_KEY_ID", state.AccessKeyID},
		{"S3_ACCESS_KEY_SECRET", state.AccessKeySecret},
		{"S3_REGION", "us-east-1"},
		{"S3_BUCKET", state.Bucket},
		{"S3_DIRECTORY", filepath.Join(p.layout.S3(), state.Bucket)},
	}
	var text strings.Builder
	for _, v := range values {
		fmt.Fprintf(&text, "%s='%s'\n", v.name, v.value)
	}
	return text.String()
}

func (p person) instructions() string {
	short := func(path string) string {
		if relative, err := filepath.Rel(p.builder.Root, path); err == nil && !strings.HasPrefix(relative, "..") {
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
`, short(p.layout.Kubectl()), p.layout.Kubeconfig(), short(p.layout.Env()), short(p.layout.Logs()))
}
