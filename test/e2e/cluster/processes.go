package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/jindo-io/jindo/test/e2e/cluster/control"
	"github.com/jindo-io/jindo/test/e2e/cluster/node"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// ready is the line that the control process writes when the cluster is up.
const ready = "ready"

// Descriptors that a control process inherits: where to write ready, then the
// listeners.
const (
	readyFile     = 3
	firstListener = 4
)

func runControl(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("control", flag.ContinueOnError)
	dir := flags.String("state", "", "state `directory`")
	programs := control.Programs{Controller: "/proc/self/exe"}
	flags.StringVar(&programs.Kube, "kube", "", "`directory` of Kubernetes' programs")
	flags.StringVar(&programs.CoreDNS, "coredns", "", "`path` of coredns")
	flags.StringVar(&programs.OSSServer, "ossserver", "", "`path` of ossserver")
	flags.StringVar(&programs.Versitygw, "versitygw", "", "`path` of versitygw")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var listeners []net.Listener
	for i := range 3 {
		file := os.NewFile(uintptr(firstListener+i), "listener")
		listener, err := net.FileListener(file)
		if err != nil {
			return fmt.Errorf("taking over a listener: %w", err)
		}
		_ = file.Close()
		listeners = append(listeners, listener)
	}
	report := os.NewFile(readyFile, "ready")
	return control.Run(ctx, control.Options{
		Layout: state.Layout{Dir: *dir}, Programs: programs, Listeners: listeners,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Ready: func() error {
			if _, err := fmt.Fprintln(report, ready); err != nil {
				return err
			}
			return report.Close()
		},
	})
}

func runNode(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	dir := flags.String("state", "", "state `directory`")
	o := node.Options{Ready: os.Stdin, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flags.StringVar(&o.ID, "id", "", "`name` of the cluster")
	flags.IntVar(&o.Number, "number", 0, "`number` of the node")
	flags.StringVar(&o.Kube, "kube", "", "`directory` of Kubernetes' programs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Layout = state.Layout{Dir: *dir}
	return node.Run(ctx, o)
}
