// Command cluster runs a Kubernetes cluster of three nodes on one Linux
// machine, without a container engine, a registry or a download of images.
//
//	cluster up            start a cluster and install Jindo (PRODUCT=0: only the cluster)
//	cluster down          stop it and remove everything
//	cluster load          rebuild our images and import them into every node
//	cluster earlier C     build the image of commit C, and import it into every node
//	cluster install       apply the current manifests, or those of C with "earlier",
//	                      and wait
//	cluster metrics       install the Kubernetes metrics server, for autoscalers
//	cluster cut NAME      disconnect a node, or apiserver, from the network
//	cluster return NAME   reconnect it
//	cluster images        build our image and those of tests, without a cluster
//	cluster kube-assets   print a directory with etcd, kube-apiserver and kubectl
package main

import (
	"context"
	"errors"
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

const usage = "write cluster up|down|load|earlier COMMIT|install [earlier]|metrics|cut NAME|return NAME|images|kube-assets"

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
	p := app{
		layout:  state.Layout{Dir: absolute},
		builder: assets.Builder{Root: root, Progress: os.Stderr},
	}
	return p.do(ctx, args[0], flags.Args())
}

// app runs the commands.
type app struct {
	layout  state.Layout
	builder assets.Builder
}

func (a app) do(ctx context.Context, command string, args []string) error {
	switch command {
	case "up":
		return a.up(ctx)
	case "down":
		return a.down(ctx)
	case "load":
		return a.load(ctx)
	case "earlier":
		if len(args) != 1 {
			return errors.New("write cluster earlier COMMIT")
		}
		return a.earlier(ctx, args[0])
	case "install":
		r, err := a.release(args)
		if err != nil {
			return err
		}
		return a.install(ctx, r)
	case "metrics":
		return a.metrics(ctx)
	case "images":
		return a.images(ctx)
	case "kube-assets":
		dir, err := a.builder.Kube(ctx)
		if err == nil {
			fmt.Println(dir)
		}
		return err
	case "cut", "return":
		if len(args) != 1 {
			return fmt.Errorf("write cluster %s node1 (to node%d), or apiserver", command, state.Nodes)
		}
		return a.cut(ctx, args[0], command == "cut")
	}
	return fmt.Errorf("unknown command %q: %s", command, usage)
}
