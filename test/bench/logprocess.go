package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/bench/raftlog"
)

// logProcess is this program in another process, with a log of package raftlog: its
// processor time and memory are apart from those of this process.
type logProcess struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  bytes.Buffer
}

// startLog starts a log and waits until it accepts commands.
func startLog(ctx context.Context, kind, dir string) (commander, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The log serves several loads: its process ends with its input.
	p := &logProcess{command: exec.CommandContext(ctx, self, "-log", kind, "-log-dir", dir)}
	p.command.Stderr = &p.stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	if _, err := p.out.ReadString('\n'); err != nil {
		p.close()
		return nil, fmt.Errorf("start the log %s: %w: %s", kind, err, firstLine(p.stderr.Bytes()))
	}
	return p, nil
}

func (p *logProcess) send(_ context.Context, clients int, duration time.Duration) (work, error) {
	if _, err := fmt.Fprintln(p.in, clients, int64(duration)); err != nil {
		return work{}, fmt.Errorf("send commands: %w", err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return work{}, fmt.Errorf("send commands: %w: %s", err, firstLine(p.stderr.Bytes()))
	}
	var w work
	if _, err := fmt.Sscan(line, &w.bytes, &w.seconds); err != nil {
		return work{}, fmt.Errorf("send commands: %w", err)
	}
	w.amount = float64(w.bytes)
	return w, nil
}

func (p *logProcess) pids() []int { return []int{p.command.Process.Pid} }

func (p *logProcess) close() {
	_ = p.in.Close()
	_ = p.command.Wait() // its error is in the load that failed
}

// serveLog serves a log in this process: for each line of the input, a number of
// clients and a duration in nanoseconds, it prints the number of commands that
// were committed and the seconds that they took.
func serveLog(ctx context.Context, kind, dir string, in io.Reader, out io.Writer) error {
	log, err := raftlog.Open(ctx, kind, dir)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintln(out, "ready")
	for {
		var clients int
		var duration time.Duration
		_, err := fmt.Fscan(in, &clients, &duration)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a load: %w", err)
		}
		committed, took, err := raftlog.Load(ctx, log, clients, commandSize, duration)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, committed, took.Seconds())
	}
}
