// Package control runs a cluster: the control plane, DNS, the object stores
// and the nodes. Its process runs in the background; everything it started ends
// with it.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/node"
	"github.com/jindo-io/jindo/test/e2e/cluster/pki"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// Programs are the files that a cluster runs.
type Programs struct {
	Kube       string // directory with kube-apiserver and the like
	CoreDNS    string
	OSSServer  string
	Versitygw  string
	Controller string // this program
}

// Options configure a cluster.
type Options struct {
	Layout   state.Layout
	Programs Programs
	// Listeners are on the machine's own loopback: the API server, the OSS
	// server and the S3 server in this order.
	Listeners []net.Listener
	Logger    *slog.Logger
	// Ready is called once.
	Ready func() error
}

type cluster struct {
	Options
	id     string
	record state.Record
	keeper *machine.Keeper
}

// Run runs a cluster until ctx ends, then removes it. The process must be
// alone in a new network namespace.
func Run(ctx context.Context, o Options) (failed error) {
	c := &cluster{
		Options: o, id: machine.ID(os.Getpid()),
		keeper: &machine.Keeper{Logs: o.Layout.Logs(), Logger: o.Logger},
	}
	c.record = state.Record{ID: c.id, PID: os.Getpid(), Start: machine.StartTime(os.Getpid()), Nodes: map[string]int{}}
	// Written first, so that a later run knows what to remove.
	if err := o.Layout.Write(c.record); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		failed = errors.Join(failed, machine.Remove(context.Background(), c.id))
		c.keeper.Wait()
		failed = errors.Join(failed, o.Layout.Remove())
	}()
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := o.Ready(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (c *cluster) start(ctx context.Context) error {
	steps := []struct {
		act string
		do  func(context.Context) error
	}{
		{"preparing the machine", c.prepare},
		{"making certificates", c.certificates},
		{"starting the object stores", c.stores},
		{"starting nodes", c.nodes},
		{"starting the control plane", c.plane},
		{"waiting for nodes", c.wait},
	}
	for _, step := range steps {
		c.Logger.Info(step.act)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.act, err)
		}
	}
	return nil
}

func (c *cluster) prepare(ctx context.Context) error {
	if err := machine.Precede(); err != nil {
		c.Logger.Warn("nodes may be late", "error", err)
	}
	own := "/" + c.id + "/control"
	if err := machine.MakeCgroup(own); err != nil {
		return err
	}
	if err := machine.Join(own); err != nil {
		return err
	}
	if err := machine.NameNetwork(os.Getpid(), c.id); err != nil {
		return err
	}
	// A cluster that ends now spares only mount points of registered clusters.
	if err := machine.MakeMountpoints(); err != nil {
		return err
	}
	if err := machine.Set("net.ipv4.ip_forward", "1"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "br0", "type", "bridge"},
		{"addr", "add", state.Bridge + "/24", "dev", "br0"},
		{"link", "set", "br0", "up"},
	} {
		if err := machine.IP(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// nodes starts each node in namespaces of its own and joins it to the bridge.
func (c *cluster) nodes(ctx context.Context) error {
	for i := 1; i <= state.Nodes; i++ {
		if err := c.node(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", state.NodeName(i), err)
		}
	}
	// Users and tests in this namespace reach Services through a node.
	if err := machine.IP(ctx, "", "route", "add", state.Services, "via", state.NodeAddress(1)); err != nil {
		return err
	}
	return c.Layout.Write(c.record)
}

func (c *cluster) node(ctx context.Context, i int) error {
	name := state.NodeName(i)
	for _, group := range []string{node.Cgroup(c.id, name), node.SystemCgroup(c.id, name)} {
		if err := machine.MakeCgroup(group); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(c.Layout.Logs(), name+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	command := exec.CommandContext(ctx, c.Programs.Controller, "node",
		"--state", c.Layout.Dir, "--id", c.id, "--number", strconv.Itoa(i), "--kube", c.Programs.Kube)
	command.Args[0] = machine.ControlName
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	go func() {
		if err := command.Wait(); ctx.Err() == nil {
			c.Logger.Error("a node has ended; see its log", "node", name, "error", err)
		}
	}()
	c.record.Nodes[name] = command.Process.Pid
	if err := c.join(ctx, i, command.Process.Pid); err != nil {
		return err
	}
	_, err = in.Write([]byte("ready\n"))
	return errors.Join(err, in.Close())
}

// Port returns the name of the bridge's end of a node's veth pair.
func Port(name string) string { return "to-" + name }

func (c *cluster) join(ctx context.Context, i, pid int) error {
	name, inside := state.NodeName(i), c.id+"-"+state.NodeName(i)
	if err := machine.NameNetwork(pid, inside); err != nil {
		return err
	}
	here := [][]string{
		{"link", "add", Port(name), "type", "veth", "peer", "name", "eth0", "netns", inside},
		{"link", "set", Port(name), "master", "br0", "up"},
		{"route", "add", state.PodRange(i), "via", state.NodeAddress(i)},
	}
	there := [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", state.NodeAddress(i) + "/24", "dev", "eth0"},
		{"link", "set", "eth0", "up"},
		{"route", "add", "default", "via", state.Bridge},
	}
	for other := 1; other <= state.Nodes; other++ {
		if other != i {
			there = append(there, []string{"route", "add", state.PodRange(other), "via", state.NodeAddress(other)})
		}
	}
	for _, args := range here {
		if err := machine.IP(ctx, "", args...); err != nil {
			return err
		}
	}
	for _, args := range there {
		if err := machine.IP(ctx, inside, args...); err != nil {
			return err
		}
	}
	return nil
}

// certificates writes the certificates and kubeconfigs of every component.
func (c *cluster) certificates(context.Context) error {
	dir := c.Layout.PKI()
	authority, err := pki.New(dir)
	if err != nil {
		return err
	}
	names := map[string]pki.Name{
		"apiserver": {User: "kube-apiserver", Hosts: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			"localhost", "127.0.0.1", state.KubernetesI, state.Bridge,
		}},
		"front-proxy":        {User: frontProxy},
		"apiserver-kubelet":  {User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		"admin":              {User: "admin", Groups: []string{"system:masters"}},
		"controller-manager": {User: "system:kube-controller-manager"},
		"scheduler":          {User: "system:kube-scheduler"},
		"proxy":              {User: "system:kube-proxy"},
		"dns":                {User: "system:coredns"},
	}
	for i := 1; i <= state.Nodes; i++ {
		name := state.NodeName(i)
		names[name] = pki.Name{User: "system:node:" + name, Groups: []string{"system:nodes"}, Hosts: []string{name, state.NodeAddress(i)}}
	}
	inside := "https://" + net.JoinHostPort(state.Bridge, strconv.Itoa(state.APIPort))
	for name, who := range names {
		if err := authority.Issue(name, who); err != nil {
			return err
		}
		if err := pki.Kubeconfig(filepath.Join(dir, name+".kubeconfig"), dir, name, inside); err != nil {
			return err
		}
	}
	outside := "https://" + c.Listeners[0].Addr().String()
	return errors.Join(authority.ServiceAccountKeys(), pki.Kubeconfig(c.Layout.Kubeconfig(), dir, "admin", outside))
}
