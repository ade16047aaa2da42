package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// errInterrupted is the error of prompts that a signal ended.
var errInterrupted = errors.New("interrupted")

// IsTerminal reports whether standard input is a terminal.
func (s *Session) IsTerminal() bool {
	file, ok := s.Streams.In.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Prompt prints text on standard error and returns the line that is typed, without
// surrounding space. It returns an error when ctx ends first, which an interrupt
// does, and io.EOF if standard input ends before anything is typed.
func (s *Session) Prompt(ctx context.Context, text string) (string, error) {
	_, _ = fmt.Fprint(s.Streams.ErrOut, text)
	line, err := interruptible(ctx, func() (string, error) {
		line, err := bufio.NewReader(s.Streams.In).ReadString('\n')
		if errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		return line, err
	})
	if err != nil {
		_, _ = fmt.Fprintln(s.Streams.ErrOut)
	}
	return strings.TrimSpace(line), err
}

// PromptSecret is Prompt without echo; standard input must be a terminal. The
// echo is on again when it returns.
func (s *Session) PromptSecret(ctx context.Context, text string) (string, error) {
	file, ok := s.Streams.In.(*os.File)
	if !ok {
		return "", clierror.Usagef("standard input is not a terminal")
	}
	fd := int(file.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", clierror.Generalf("reading from the terminal: %w", err)
	}
	_, _ = fmt.Fprint(s.Streams.ErrOut, text)
	defer func() { _, _ = fmt.Fprintln(s.Streams.ErrOut) }()
	secret, err := interruptible(ctx, func() (string, error) {
		raw, err := term.ReadPassword(fd)
		return string(raw), err
	})
	if err != nil {
		return "", errors.Join(err, term.Restore(fd, state))
	}
	return strings.TrimSpace(secret), nil
}

// interruptible runs a read that blocks and returns when ctx ends. The read then
// stays behind, and the process must exit: it would take the next line.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", &clierror.Error{Code: clierror.General, Err: errInterrupted}
	case r := <-done:
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return "", clierror.Generalf("reading from standard input: %w", r.err)
		}
		return r.text, r.err
	}
}
