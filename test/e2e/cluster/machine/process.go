package machine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Program is a process that runs as long as its cluster.
type Program struct {
	Name string
	Path string
	Args []string
	Env  []string // besides this process's
}

// Keeper runs programs, each with a log, and restarts those that end.
type Keeper struct {
	Logs   string
	Logger *slog.Logger

	running sync.WaitGroup
}

const again = time.Second

// Keep starts p and restarts it until ctx ends, when it is killed.
func (k *Keeper) Keep(ctx context.Context, p Program) error {
	command, err := k.start(ctx, p)
	if err != nil {
		return err
	}
	k.running.Go(func() {
		for {
			err := command.Wait()
			if ctx.Err() != nil {
				return
			}
			k.Logger.Warn("restarting an ended program", "program", p.Name, "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(again):
			}
			if command, err = k.start(ctx, p); err != nil {
				k.Logger.Error("giving up", "program", p.Name, "error", err)
				return
			}
		}
	})
	return nil
}

// Wait returns when every program has ended.
func (k *Keeper) Wait() { k.running.Wait() }

func (k *Keeper) start(ctx context.Context, p Program) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(k.Logs, p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	command := exec.CommandContext(ctx, p.Path, p.Args...)
	command.Env = append(os.Environ(), p.Env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return command, nil
}

// precedence is the nice value of a cluster's processes.
const precedence = -5

// Precede raises the priority of this process, its group and their children:
// Kubernetes considers a late node lost.
func Precede() error {
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, precedence); err != nil {
		return fmt.Errorf("going before other processes: %w", err)
	}
	return nil
}

// StartTime returns the start time of a process, which distinguishes it from a later
// one with the same pid, or "" if there is no such process.
func StartTime(pid int) string {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	// The second field is a name in parentheses and may hold anything.
	_, rest, found := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')'):]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// controls reports whether pid is the control process of a cluster.
func controls(pid int) bool {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return false
	}
	words := strings.Split(string(raw), "\x00")
	return len(words) > 1 && filepath.Base(words[0]) == ControlName && words[1] == ControlCommand
}

// The first arguments of a control process identify it.
const (
	ControlName    = "jindo-cluster"
	ControlCommand = "control"
)
