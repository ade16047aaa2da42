// Package node runs one node of a cluster: containerd, a kubelet and a
// kube-proxy in namespaces of their own. It runs as a process of its own, and
// everything it starts ends with it.
package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// Options configure a node.
type Options struct {
	Layout state.Layout
	ID     string // of the cluster
	Number int
	Kube   string // directory of Kubernetes' programs
	// Ready is read until its first line before the network is used.
	Ready  io.Reader
	Logger *slog.Logger
}

type node struct {
	Options
	name, address, dir string
}

const socket = "/run/containerd/containerd.sock"

// Cgroup is the root of the node's pods, SystemCgroup holds its own processes.
func Cgroup(id, name string) string { return "/" + id + "/" + name }

// SystemCgroup holds the processes of the node itself.
func SystemCgroup(id, name string) string { return "/" + id + "/system-" + name }

// Run runs a node until ctx ends. The process must be alone in new mount, network
// and host name namespaces.
func Run(ctx context.Context, o Options) error {
	name := state.NodeName(o.Number)
	n := node{Options: o, name: name, address: state.NodeAddress(o.Number), dir: o.Layout.Node(name)}
	if err := machine.Join(SystemCgroup(o.ID, name)); err != nil {
		return err
	}
	if _, err := bufio.NewReader(o.Ready).ReadString('\n'); err != nil {
		return fmt.Errorf("wait for the network: %w", err)
	}
	if err := n.furnish(); err != nil {
		return err
	}
	keeper := &machine.Keeper{Logs: o.Layout.Logs(), Logger: o.Logger}
	defer keeper.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := keeper.Keep(ctx, n.containerd()); err != nil {
		return err
	}
	if err := n.load(ctx); err != nil {
		return err
	}
	for _, program := range []machine.Program{n.kubelet(), n.proxy()} {
		if err := keeper.Keep(ctx, program); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func (n node) furnish() error {
	if err := unix.Sethostname([]byte(n.name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	for name, value := range map[string]string{
		"net.ipv4.ip_forward":                 "1",
		"net.bridge.bridge-nf-call-iptables":  "1",
		"net.bridge.bridge-nf-call-ip6tables": "1",
	} {
		if err := machine.Set(name, value); err != nil {
			return err
		}
	}
	if err := machine.Furnish(n.dir); err != nil {
		return err
	}
	return errors.Join(
		n.write("containerd.toml", n.containerdConfig()),
		n.write("kubelet.yaml", n.kubeletConfig()),
		os.WriteFile("/etc/cni/net.d/10-bridge.conflist", []byte(n.cniConfig()), 0o644),
	)
}

func (n node) write(name, text string) error {
	return os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o644)
}

func (n node) containerd() machine.Program {
	return machine.Program{
		Name: n.name + "-containerd", Path: "containerd",
		Args: []string{"--config", filepath.Join(n.dir, "containerd.toml")},
	}
}

func (n node) kubelet() machine.Program {
	return machine.Program{
		Name: n.name + "-kubelet", Path: filepath.Join(n.Kube, "kubelet"),
		Args: []string{
			"--config=" + filepath.Join(n.dir, "kubelet.yaml"),
			"--kubeconfig=" + filepath.Join(n.Layout.PKI(), n.name+".kubeconfig"),
			"--cert-dir=" + filepath.Join(n.dir, "certificates"),
			"--hostname-override=" + n.name,
			"--node-ip=" + n.address,
			"--node-labels=kubernetes.io/os=linux",
		},
	}
}

func (n node) proxy() machine.Program {
	return machine.Program{
		Name: n.name + "-proxy", Path: filepath.Join(n.Kube, "kube-proxy"),
		Args: []string{
			"--kubeconfig=" + filepath.Join(n.Layout.PKI(), "proxy.kubeconfig"),
			"--hostname-override=" + n.name,
			"--proxy-mode=nftables",
			"--cluster-cidr=" + state.Pods,
			"--conntrack-max-per-core=0",
		},
	}
}

const loading = 2 * time.Minute

// load waits for containerd and imports every image.
func (n node) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	for {
		err := machine.Run(ctx, "ctr", "--address", socket, "version")
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd of %s does not respond (see %s): %w", n.name, filepath.Join(n.Layout.Logs(), n.name+"-containerd.log"), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return Import(ctx, n.Layout.Images(), nil)
}

// Import imports every archive in dir into the containerd of this mount namespace,
// or of the one that the command prefix enters.
func Import(ctx context.Context, dir string, prefix []string) error {
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return err
	}
	sort.Strings(archives)
	for _, archive := range archives {
		words := append(append([]string{}, prefix...), "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive)
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("import %s: %w: %s", archive, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
