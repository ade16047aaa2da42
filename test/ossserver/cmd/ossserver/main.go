// Ossserver serves directories as OSS buckets, for manual tests.
//
//	ossserver --listen 127.0.0.1:9900 --bucket data=/srv/data
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/ossserver"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("ossserver", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:9900", "`address` to listen on")
	id := flags.String("access-key-id", "test", "access key `id` of clients")
	secret := flags.String("access-key-secret", "test", "access key `secret` of clients")
	host := flags.String("host", "", "endpoint's host `name` for virtual hosts; path style always works")
	region := flags.String("region", "cn-hangzhou", "`region` that signatures must name; empty accepts any")
	debug := flags.Bool("debug", false, "log every request")
	buckets := map[string]string{}
	flags.Func("bucket", "`NAME=DIR` serves a directory, NAME= keeps the bucket in memory; repeatable", func(value string) error {
		name, dir, found := strings.Cut(value, "=")
		if !found {
			return errors.New("must be NAME=DIR")
		}
		buckets[name] = dir
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	server := ossserver.New(ossserver.Config{AccessKeyID: *id, AccessKeySecret: *secret, Host: *host, Region: *region, Logger: logger})
	for name, dir := range buckets {
		if err := addBucket(server, name, dir); err != nil {
			return err
		}
	}
	return serve(server, *listen, logger)
}

func addBucket(server *ossserver.Server, name, dir string) error {
	if dir == "" {
		return server.CreateBucket(name)
	}
	return server.ServeDirectory(name, dir)
}

func serve(handler http.Handler, listen string, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", listen, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	logger.Info("serving", "endpoint", "http://"+listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
