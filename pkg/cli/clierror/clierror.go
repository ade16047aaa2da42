// Package clierror provides the errors of commands, with a hint, a command to try
// and the exit code, and defines the exit codes.
package clierror

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes of every command; `help exit-codes` prints them.
const (
	// OK means success; of commands that check health, healthy.
	OK = 0
	// General means that the command failed.
	General = 1
	// Usage means an unknown command or flag, or invalid input.
	Usage = 2
	// Unhealthy means that the command succeeded and found problems.
	Unhealthy = 3
	// TimedOut means that the objects waited for are still pending.
	TimedOut = 4
)

// Error is the error of a command.
type Error struct {
	// Code is the exit code.
	Code int
	// Err is what failed, on which object, and the cause.
	Err error
	// Hint is a sentence on what to do, or "".
	Hint string
	// Try is a command to run next, or "".
	Try string
	// Silent errors are not printed: the result shows the problem.
	Silent bool
}

// Error returns the message without hint and command.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usagef returns an error with the code Usage.
func Usagef(format string, args ...any) *Error {
	return &Error{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Generalf returns an error with the code General.
func Generalf(format string, args ...any) *Error {
	return &Error{Code: General, Err: fmt.Errorf(format, args...)}
}

// WithHint sets the hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithTry sets the command to run next.
func (e *Error) WithTry(format string, args ...any) *Error {
	e.Try = fmt.Sprintf(format, args...)
	return e
}

// Code returns the exit code for an error.
func Code(err error) int {
	var failed *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &failed):
		return failed.Code
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return General
}

// Print writes an error in at most three lines: the message, the hint, and the
// command to try. A message may have several lines.
func Print(w io.Writer, err error) {
	if err == nil {
		return
	}
	var failed *Error
	if !errors.As(err, &failed) {
		_, _ = fmt.Fprintf(w, "error: %v\n", err)
		return
	}
	if failed.Silent {
		return
	}
	_, _ = fmt.Fprintf(w, "error: %v\n", err)
	if failed.Hint != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", failed.Hint)
	}
	if failed.Try != "" {
		_, _ = fmt.Fprintf(w, "try: %s\n", failed.Try)
	}
}
