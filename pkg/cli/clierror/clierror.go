// Package clierror is how commands fail: a sentence for people, what to try,
// and the exit code. It is the one place that knows the exit codes.
package clierror

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes of every command; `help exit-codes` prints them.
const (
	// OK: done, or healthy.
	OK = 0
	// General: the command failed.
	General = 1
	// Usage: the command was not understood, or its input is invalid.
	Usage = 2
	// Unhealthy: the command worked and what it looked at is not well.
	Unhealthy = 3
	// TimedOut: what was waited for is still pending.
	TimedOut = 4
)

// Error is a failure with what a person needs to go on.
type Error struct {
	// Code is the exit code.
	Code int
	// Err says what failed, on which object, and why.
	Err error
	// Hint is a sentence that helps; may be empty.
	Hint string
	// Try is a command to run next; may be empty.
	Try string
	// Silent failures only set the exit code: the screen said it all.
	Silent bool
}

// Error is the failure without hint and command.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap answers the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usagef is a failure of the input.
func Usagef(format string, args ...any) *Error {
	return &Error{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Generalf is any other failure.
func Generalf(format string, args ...any) *Error {
	return &Error{Code: General, Err: fmt.Errorf(format, args...)}
}

// WithHint adds a sentence.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithTry adds a command to run next.
func (e *Error) WithTry(format string, args ...any) *Error {
	e.Try = fmt.Sprintf(format, args...)
	return e
}

// Code is the exit code for an error.
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

// Print writes an error as commands show it, in at most three parts: what
// failed, a hint, a command to try.
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
