//go:build !linux

package local

import (
	"context"
	"io"
	"log/slog"
)

// Up needs Linux.
func Up(context.Context, UpOptions) (State, error) { return State{}, ErrUnsupported }

// Down needs Linux.
func Down(context.Context, Layout, bool) (bool, error) { return false, ErrUnsupported }

// Supervise needs Linux.
func Supervise(io.Reader, []string, *slog.Logger) error { return ErrUnsupported }

// Guard needs Linux.
func Guard(Layout, io.Reader, *slog.Logger) error { return ErrUnsupported }

// Running is false where nothing can run.
func Running(State) bool { return false }
