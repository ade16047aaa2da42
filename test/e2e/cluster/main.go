// Command cluster runs a Kubernetes cluster of three nodes on one Linux
// machine, without a container engine, a registry or a download of images.
//
//	cluster up            start one and install Jindo (PRODUCT=0: only the cluster)
//	cluster down          end it and remove everything
//	cluster load          build our images again and import them into every node
//	cluster install       apply the manifests as they are now, and wait
//	cluster cut NAME      cut a node, or apiserver, off the network
//	cluster return NAME   and connect it again
//	cluster images        build the images of tests and our own, without a cluster
//	cluster kube-assets   print a directory with etcd, kube-apiserver and kubectl
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/jindo-io/jindo/test/e2e/cluster/assets"
	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

const usage = "write cluster up|down|load|install|cut NAME|return NAME|images|kube-assets"

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no command: %s", usage)
	}
	switch args[0] {
	case machine.ControlCommand:
		return runControl(ctx, args[1:])
	case "node":
		return runNode(ctx, args[1:])
	}
	flags := flag.NewFlagSet("cluster "+args[0], flag.ContinueOnError)
	dir := flags.String("state", "", "state `directory` (default .cluster in the repository)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	root, err := assets.FindRoot()
	if err != nil {
		return err
	}
	if *dir == "" {
		*dir = filepath.Join(root, ".cluster")
	}
	absolute, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	p := person{
		layout:  state.Layout{Dir: absolute},
		builder: assets.Builder{Root: root, Progress: os.Stderr},
	}
	return p.do(ctx, args[0], flags.Args())
}

// person is who calls the commands.
type person struct {
	layout  state.Layout
	builder assets.Builder
}

func (p person) do(ctx context.Context, command string, args []string) error {
	switch command {
	case "up":
		return p.up(ctx)
	case "down":
		return p.down(ctx)
	case "load":
		return p.load(ctx)
	case "install":
		return p.install(ctx)
	case "images":
		return p.images(ctx)
	case "kube-assets":
		dir, err := p.builder.Kube(ctx)
		if err == nil {
			fmt.Println(dir)
		}
		return err
	case "cut", "return":
		if len(args) != 1 {
			return fmt.Errorf("write cluster %s node1 (to node%d), or apiserver", command, state.Nodes)
		}
		return p.cut(ctx, args[0], command == "cut")
	}
	return fmt.Errorf("%q is no command: %s", command, usage)
}
