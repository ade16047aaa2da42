//go:build !linux

package local

import (
	"context"
	"io"
	"log/slog"
)

// Up returns ErrUnsupported.
func Up(context.Context, UpOptions) (State, error) { return State{}, ErrUnsupported }

// Down returns ErrUnsupported.
func Down(context.Context, Layout, bool) (bool, error) { return false, ErrUnsupported }

// Supervise returns ErrUnsupported.
func Supervise(io.Reader, []string, *slog.Logger) error { return ErrUnsupported }

// ReapOrphans returns ErrUnsupported.
func ReapOrphans(Layout, io.Reader, *slog.Logger) error { return ErrUnsupported }

// Running returns false.
func Running(State) bool { return false }
