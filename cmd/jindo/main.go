// Command jindo shows a runtime from inside its pods. It is installed as
// jindocache too.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/jindo-io/jindo/pkg/jindocli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := jindocli.Run(ctx, jindocli.Env{
		Program: os.Args[0], Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Open: jindocli.Connect,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
