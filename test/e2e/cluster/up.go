package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/e2e/cluster/assets"
	"github.com/jindo-io/jindo/test/e2e/cluster/control"
	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// up starts a cluster, after removing what a killed one left.
func (a app) up(ctx context.Context) error {
	began := time.Now()
	if err := errors.Join(machine.Root(), assets.Check()); err != nil {
		return err
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	record, found, err := a.layout.Read()
	if err != nil {
		return err
	}
	if found && runs(record) {
		fmt.Printf("A cluster runs already; `make cluster-down` ends it.\n%s", a.instructions())
		return nil
	}
	if err := a.sweep(ctx); err != nil {
		return err
	}
	programs, err := a.programs(ctx)
	if err != nil {
		return err
	}
	if err := a.start(ctx, programs); err != nil {
		return err
	}
	fmt.Printf("The cluster is up after %s.\n%s", time.Since(began).Round(time.Second), a.instructions())
	if os.Getenv("PRODUCT") == "0" {
		return nil
	}
	return a.install(ctx, a.present())
}

func (a app) lock() (func(), error) {
	if err := os.MkdirAll(a.layout.Dir, 0o755); err != nil {
		return nil, err
	}
	return assets.Lock(a.layout.Lock())
}

// runs reports whether the recorded control process is running.
func runs(r state.Record) bool { return r.Start != "" && machine.StartTime(r.PID) == r.Start }

// sweep removes what killed runs left, here and on the machine.
func (a app) sweep(ctx context.Context) error {
	record, found, err := a.layout.Read()
	if err != nil {
		return err
	}
	if found {
		if err := machine.Remove(ctx, record.ID); err != nil {
			return fmt.Errorf("remove what a killed cluster left: %w", err)
		}
	}
	swept, err := machine.Sweep(ctx)
	for _, id := range swept {
		fmt.Fprintln(os.Stderr, "removed what a killed cluster left:", id)
	}
	return errors.Join(err, a.layout.Remove(), os.RemoveAll(a.layout.Logs()))
}

func (a app) programs(ctx context.Context) (control.Programs, error) {
	var programs control.Programs
	for _, dir := range []string{a.layout.Bin(), a.layout.Images(), a.layout.Logs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return programs, err
		}
	}
	steps := []func() error{
		func() (err error) { programs.Kube, err = a.builder.Kube(ctx); return err },
		func() (err error) { programs.CoreDNS, err = a.builder.CoreDNS(ctx); return err },
		func() (err error) { programs.OSSServer, err = a.builder.OSSServer(ctx, a.layout.Bin()); return err },
		func() (err error) { programs.Versitygw, err = a.builder.Versitygw(ctx); return err },
		func() error { return a.builder.TestImages(ctx, a.layout.Bin(), a.layout.Images()) },
	}
	if os.Getenv("PRODUCT") != "0" {
		steps = append(steps, func() error { return a.builder.Jindo(ctx, a.layout.Images()) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return programs, err
		}
	}
	return programs, nil
}

// start starts the control process, which outlives this one, and blocks until it is
// ready.
func (a app) start(ctx context.Context, programs control.Programs) error {
	if err := os.WriteFile(a.layout.Kubectl(), []byte(fmt.Sprintf("#!/bin/sh\nKUBECONFIG='%s' exec '%s' \"$@\"\n",
		a.layout.Kubeconfig(), filepath.Join(programs.Kube, "kubectl"))), 0o755); err != nil {
		return err
	}
	listeners, addresses, err := listen(3)
	if err != nil {
		return err
	}
	if err := os.WriteFile(a.layout.Env(), []byte(a.environment(addresses)), 0o644); err != nil {
		return err
	}
	logPath := filepath.Join(a.layout.Logs(), "cluster.log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	command := exec.Command("/proc/self/exe", machine.ControlCommand,
		"--state", a.layout.Dir, "--kube", programs.Kube, "--coredns", programs.CoreDNS, "--ossserver", programs.OSSServer, "--versitygw", programs.Versitygw)
	command.Args[0] = machine.ControlName
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = append([]*os.File{writer}, listeners...)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNET}
	if err := command.Start(); err != nil {
		return errors.Join(err, writer.Close())
	}
	for _, f := range append(listeners, writer) {
		_ = f.Close()
	}
	return a.await(ctx, command, reader, logPath)
}

// await returns the result that the control process writes in one line; a killed
// one writes nothing.
func (a app) await(ctx context.Context, command *exec.Cmd, reader *os.File, logPath string) error {
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Signal(syscall.SIGTERM) })
	defer stop()
	line, _ := bufio.NewReader(reader).ReadString('\n')
	if strings.TrimSpace(line) == ready {
		return command.Process.Release()
	}
	err := command.Wait()
	last, readErr := os.ReadFile(logPath)
	if readErr == nil && len(last) > 2000 {
		last = last[len(last)-2000:]
	}
	return fmt.Errorf("the cluster did not come up: %w (%w): %s", errors.Join(err, ctx.Err()), errors.New("all of it is in "+logPath), last)
}

// listen listens on free ports of the machine's loopback. The sockets remain in this
// network namespace when a process in another one accepts on them.
func listen(n int) (files []*os.File, addresses []string, err error) {
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		file, err := listener.(*net.TCPListener).File()
		if err := errors.Join(err, listener.Close()); err != nil {
			return nil, nil, err
		}
		files, addresses = append(files, file), append(addresses, listener.Addr().String())
	}
	return files, addresses, nil
}

// down stops the cluster and removes everything that it created.
func (a app) down(ctx context.Context) error {
	if err := machine.Root(); err != nil {
		return err
	}
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	record, found, err := a.layout.Read()
	if err != nil {
		return err
	}
	if found && runs(record) {
		if err := end(ctx, record); err != nil {
			return err
		}
	}
	return a.sweep(ctx)
}

const ending = 40 * time.Second

// end terminates the control process, which removes everything. It is killed if it
// does not end in time; sweep then removes the rest.
func end(ctx context.Context, r state.Record) error {
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the control process: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ending)
	defer cancel()
	for runs(r) {
		select {
		case <-ctx.Done():
			_ = syscall.Kill(r.PID, syscall.SIGKILL)
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
