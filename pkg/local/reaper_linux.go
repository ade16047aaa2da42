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
	// cleanExit is written to the reaper when there is nothing to clean up.
	cleanExit = "clean\n"
	// reaperLockTimeout is how long the reaper waits for the lock of a
	// supervisor that has died; the kernel releases it with the process.
	reaperLockTimeout = 10 * time.Second
)

// ReapOrphans waits until the supervisor at the other end of watch has ended. If
// that did not write cleanExit before, ReapOrphans removes its leftovers.
func ReapOrphans(l Layout, watch io.Reader, logger *slog.Logger) error {
	// A signal to the whole session stops the supervisor, which ends this process.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	last, err := bufio.NewReader(watch).ReadString('\n')
	if last == cleanExit {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("watch the supervisor: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), reaperLockTimeout)
	defer cancel()
	held, err := waitLock(ctx, l)
	if err != nil {
		// Another supervisor has the lock, and cleans up itself.
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
	if state.Reaper != me {
		return nil
	}
	logger.Warn("the supervisor has died, removing its leftovers")
	return sweep(context.WithoutCancel(ctx), l, logger)
}

// orphanReaper is the supervisor's handle of the reaper process.
type orphanReaper struct {
	pipe  *os.File
	cmd   *exec.Cmd
	id    ProcessID
	ended chan struct{}
}

// startOrphanReaper starts a reaper in its own session.
func startOrphanReaper(selfWords []string, l Layout, root string, log *os.File) (*orphanReaper, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the orphan reaper: %w", err)
	}
	words := append(append([]string{}, selfWords...), "guard", "--root", root, "--namespace", l.Namespace, l.Runtime)
	cmd := selfCommand(words)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{read}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("start the orphan reaper: %w", err)
	}
	g := &orphanReaper{pipe: write, cmd: cmd, ended: make(chan struct{})}
	g.id, _, err = identify(cmd.Process.Pid)
	go func() {
		defer close(g.ended)
		_ = cmd.Wait()
	}()
	if err != nil {
		g.dismiss()
		return nil, err
	}
	return g, nil
}

// dismiss ends the reaper without a cleanup and waits for it.
func (g *orphanReaper) dismiss() {
	_, _ = io.WriteString(g.pipe, cleanExit) // it may have ended
	_ = g.pipe.Close()
	<-g.ended
}
