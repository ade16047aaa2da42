package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const (
	// farewell tells the guard that there is nothing to clean up.
	farewell = "clean\n"
	// guardPatience is how long the guard waits for the lock of a supervisor
	// that has died; the kernel gives it back when the process is gone.
	guardPatience = 10 * time.Second
)

// Guard waits until the supervisor at the other end of watch is gone. If it
// went without a farewell, Guard removes what it left.
func Guard(l Layout, watch io.Reader, logger *slog.Logger) error {
	// Whoever stops the whole session stops the supervisor, and that ends this.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	last, err := bufio.NewReader(watch).ReadString('\n')
	if last == farewell {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("watching the supervisor: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), guardPatience)
	defer cancel()
	held, err := waitLock(ctx, l)
	if err != nil {
		// Another supervisor has taken over and cleans up itself.
		return nil
	}
	defer held.release()
	state, found, err := ReadState(l)
	if err != nil || !found {
		return err
	}
	me, err := self()
	if err != nil {
		return err
	}
	if state.Guard != me {
		return nil
	}
	logger.Warn("the supervisor is gone, removing what it left")
	return sweep(context.WithoutCancel(ctx), l, logger)
}

// guard is the supervisor's side: a process that outlives it.
type guard struct {
	pipe *os.File
	cmd  *exec.Cmd
	id   ProcessID
	gone chan struct{}
}

// startGuard starts a guard in a session of its own.
func startGuard(selfWords []string, l Layout, root string, log *os.File) (*guard, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	words := append(append([]string{}, selfWords...), "guard", "--root", root, "--namespace", l.Namespace, l.Runtime)
	cmd := again(words)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	g := &guard{pipe: write, cmd: cmd, gone: make(chan struct{})}
	g.id, _, err = identify(cmd.Process.Pid)
	go func() {
		defer close(g.gone)
		_ = cmd.Wait()
	}()
	if err != nil {
		g.dismiss()
		return nil, err
	}
	return g, nil
}

// dismiss tells the guard that everything is clean and waits for its end.
func (g *guard) dismiss() {
	_, _ = io.WriteString(g.pipe, farewell) // it may be gone
	_ = g.pipe.Close()
	<-g.gone
}
