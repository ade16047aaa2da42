package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/test/bench/lister"
	"github.com/jindo-io/jindo/test/bench/shaper"
	"github.com/jindo-io/jindo/test/s3server"
)

// Names and keys of the store.
const (
	bucket    = "bench"
	accessKey = "bench-access-key"
	secretKey = "bench-access-secret"
)

// shaped is what cold rows call a store at some distance.
var shaped = shaper.Shape{FirstByte: 20 * time.Millisecond, PerConnection: 100e6, Total: 300e6}

// serve writes the data set and starts the store and the proxy.
func (l *lab) serve(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(filepath.Dir(l.source), "juicefs-"+bucket), 0o755); err != nil {
		return fmt.Errorf("write the data set: %w", err)
	}
	for _, f := range l.files.all() {
		if err := writeObject(filepath.Join(l.source, f.Path), f.Content()); err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
	}
	if l.write != nil {
		if err := l.write(ctx, l.source); err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
	}
	binary, err := s3server.Find(ctx, os.Stderr)
	if err != nil {
		return err
	}
	server, err := s3server.Start(ctx, s3server.Config{Binary: binary, Dir: filepath.Dir(l.source), AccessKeyID: accessKey, AccessKeySecret: secretKey})
	if err != nil {
		return err
	}
	l.stop, l.direct = server.Stop, server.Endpoint
	return l.front(ctx)
}

// serveListing serves a bucket that is only a listing, and writes some of its
// directories with empty files.
func (l *lab) serveListing(ctx context.Context, b lister.Bucket, written int) error {
	for i := range written {
		if err := emptyFiles(filepath.Join(l.source, fmt.Sprintf("d%05d", i)), b.Objects); err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve a listing: %w", err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	l.stop, l.direct = func() { _ = server.Close() }, "http://"+listener.Addr().String()
	return l.front(ctx)
}

func emptyFiles(dir string, count int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range count {
		file, err := os.Create(filepath.Join(dir, fmt.Sprintf("object-%06d.bin", i)))
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

// front starts the proxy before the store, and opens the store through it.
func (l *lab) front(ctx context.Context) error {
	direct, err := url.Parse(l.direct)
	if err != nil {
		return err
	}
	if l.proxy, err = shaper.Start(l.host(), direct.Host, shaper.Shape{}); err != nil {
		return err
	}
	l.raw, err = drivers.Open(ctx, "s3://"+bucket+"/", map[string]string{"fs.s3.endpoint": l.endpoint()}, credentials{})
	return err
}

// host is the address of this machine that contenders connect to.
func (l *lab) host() string {
	if l.link != nil {
		return l.link.Near().String()
	}
	return "127.0.0.1"
}

// writeObject writes a file with the ETag of an object, which the store would
// otherwise not have.
func writeObject(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	sum := md5.Sum(content) //nolint:gosec // the ETag of S3
	return unix.Setxattr(path, "user.etag", []byte(hex.EncodeToString(sum[:])), 0)
}

type credentials struct{}

// Credentials implements ufs.CredentialsSource.
func (credentials) Credentials(context.Context) (ufs.Credentials, error) {
	return ufs.Credentials{AccessKeyID: accessKey, AccessKeySecret: secretKey}, nil
}

func (l *lab) endpoint() string { return "http://" + l.proxy.Address() }
