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
func (p person) up(ctx context.Context) error {
	began := time.Now()
	if err := errors.Join(machine.Root(), assets.Check()); err != nil {
		return err
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	record, found, err := p.layout.Read()
	if err != nil {
		return err
	}
	if found && runs(record) {
		fmt.Printf("A cluster runs already; `make cluster-down` ends it.\n%s", p.instructions())
		return nil
	}
	if err := p.sweep(ctx); err != nil {
		return err
	}
	programs, err := p.programs(ctx)
	if err != nil {
		return err
	}
	if err := p.start(ctx, programs); err != nil {
		return err
	}
	fmt.Printf("The cluster is up after %s.\n%s", time.Since(began).Round(time.Second), p.instructions())
	if os.Getenv("PRODUCT") == "0" {
		return nil
	}
	return p.install(ctx)
}

func (p person) lock() (func(), error) {
	if err := os.MkdirAll(p.layout.Dir, 0o755); err != nil {
		return nil, err
	}
	return assets.Lock(p.layout.Lock())
}

// runs says whether the recorded control process still is what it was.
func runs(r state.Record) bool { return r.Start != "" && machine.StartTime(r.PID) == r.Start }

// sweep removes what killed runs left, here and on the machine.
func (p person) sweep(ctx context.Context) error {
	record, found, err := p.layout.Read()
	if err != nil {
		return err
	}
	if found {
		if err := machine.Remove(ctx, record.ID); err != nil {
			return fmt.Errorf("removing what a killed cluster left: %w", err)
		}
	}
	swept, err := machine.Sweep(ctx)
	for _, id := range swept {
		fmt.Fprintln(os.Stderr, "removed what a killed cluster left:", id)
	}
	return errors.Join(err, p.layout.Remove(), os.RemoveAll(p.layout.Logs()))
}

func (p person) programs(ctx context.Context) (control.Programs, error) {
	var programs control.Programs
	for _, dir := range []string{p.layout.Bin(), p.layout.Images(), p.layout.Logs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return programs, err
		}
	}
	steps := []func() error{
		func() (err error) { programs.Kube, err = p.builder.Kube(ctx); return err },
		func() (err error) { programs.CoreDNS, err = p.builder.CoreDNS(ctx); return err },
		func() (err error) { programs.OSSServer, err = p.builder.OSSServer(ctx, p.layout.Bin()); return err },
		func() (err error) { programs.Versitygw, err = p.builder.Versitygw(ctx); return err },
		func() error { return p.builder.TestImages(ctx, p.layout.Bin(), p.layout.Images()) },
	}
	if os.Getenv("PRODUCT") != "0" {
		steps = append(steps, func() error { return p.builder.Jindo(ctx, p.layout.Images()) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return programs, err
		}
	}
	return programs, nil
}

// start starts the control process and waits until it says that it is ready.
// It survives this one.
func (p person) start(ctx context.Context, programs control.Programs) error {
	if err := os.WriteFile(p.layout.Kubectl(), []byte(fmt.Sprintf("#!/bin/sh\nKUBECONFIG='%s' exec '%s' \"$@\"\n",
		p.layout.Kubeconfig(), filepath.Join(programs.Kube, "kubectl"))), 0o755); err != nil {
		return err
	}
	listeners, addresses, err := listen(3)
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.layout.Env(), []byte(p.environment(addresses)), 0o644); err != nil {
		return err
	}
	logPath := filepath.Join(p.layout.Logs(), "cluster.log")
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
		"--state", p.layout.Dir, "--kube", programs.Kube, "--coredns", programs.CoreDNS, "--ossserver", programs.OSSServer, "--versitygw", programs.Versitygw)
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
	return p.await(ctx, command, reader, logPath)
}

// await relays the one line of the control process; a killed one says nothing.
func (p person) await(ctx context.Context, command *exec.Cmd, reader *os.File, logPath string) error {
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

// listen takes free ports of the machine's own loopback. The sockets stay
// there when a process in another network accepts on them.
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

// down ends the cluster and removes everything that it made.
func (p person) down(ctx context.Context) error {
	if err := machine.Root(); err != nil {
		return err
	}
	unlock, err := p.lock()
	if err != nil {
		return err
	}
	defer unlock()
	record, found, err := p.layout.Read()
	if err != nil {
		return err
	}
	if found && runs(record) {
		if err := end(ctx, record); err != nil {
			return err
		}
	}
	return p.sweep(ctx)
}

const ending = 40 * time.Second

// end lets the control process remove everything, and kills it when it does
// not: sweep removes the rest then.
func end(ctx context.Context, r state.Record) error {
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending the control process: %w", err)
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
