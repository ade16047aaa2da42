// Package daemon provides what every server binary needs apart from its own
// work: a main function that stops on SIGTERM, a logger, and an HTTP server for
// health checks and metrics.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Main runs work with a context that SIGTERM and SIGINT cancel. When work
// returns an error other than context.Canceled, Main prints it to stderr and
// exits with status 1.
func Main(work func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := work(ctx)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// Logger returns a logger that writes text lines to stderr, each with the name
// of the component. debug lowers its level from info to debug. Repeated messages
// are counted instead of written, so that neither an unreachable peer nor a
// stranger fills the log.
func Logger(component string, debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	handler := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})
	return slog.New(newRepeats(handler, defaultRepeatLimits)).With("component", component)
}
