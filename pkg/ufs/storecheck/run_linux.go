package storecheck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// grace is the time after the limit in which the program must respond.
const grace = 10 * time.Second

// Run starts the program to check a store, and reports whether nothing was found
// in it. It returns the driver's error, [ErrTimeout], or the one of the context.
func Run(ctx context.Context, program string, request Request) (empty bool, err error) {
	input, err := json.Marshal(request)
	if err != nil {
		return false, fmt.Errorf("encode the check of a store: %w", err)
	}
	running, cancel := context.WithTimeout(ctx, request.Limit+grace)
	defer cancel()
	cmd := exec.CommandContext(running, program, Flag)
	var output, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &output, &complaint
	// The interrupt of a terminal ends the context, which ends the program; it must
	// not end the program first and look like a failure of the store.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// A child of the program that keeps the pipes open is not waited for.
	cmd.WaitDelay = time.Second
	ended := cmd.Run()
	var response Response
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case running.Err() != nil:
		return false, ErrTimeout
	case ended != nil:
		line, _, _ := strings.Cut(complaint.String(), "\n")
		return false, fmt.Errorf("check the store with %s: %w: %s", program, ended, line)
	}
	if err := json.Unmarshal(output.Bytes(), &response); err != nil {
		return false, fmt.Errorf("check the store with %s: read its response: %w", program, err)
	}
	if response.Failure != nil {
		return false, response.Failure.Err()
	}
	return response.Empty, nil
}
