package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// startJuiceFS starts Redis and JuiceFS, which stores blocks of its own: the
// bucket's files are copied through a mount, and then its cache is dropped.
func startJuiceFS(ctx context.Context, o Options, dir string) (*Peer, error) {
	redis, socket, err := o.startRedis(ctx, dir)
	if err != nil {
		return nil, err
	}
	peer, err := juiceFS(ctx, o, dir, "unix://"+socket+"?db=1")
	if err != nil {
		redis.stop()
		return nil, err
	}
	peer.processes = append([]*process{redis}, peer.processes...)
	return peer, nil
}

func juiceFS(ctx context.Context, o Options, dir, meta string) (*Peer, error) {
	env := []string{"ACCESS_KEY=" + o.Store.AccessKeyID, "SECRET_KEY=" + o.Store.AccessKeySecret}
	storage, bucket := "s3", "/juicefs-"+o.Store.Bucket
	if o.Store.Listing {
		storage, bucket = "file", filepath.Join(dir, "blocks")+"/"
		o.Store.Direct, o.Store.Endpoint = "", ""
	}
	if err := output(ctx, dir, "juicefs", env, "format", "--storage", storage, "--bucket", o.Store.Direct+bucket,
		"--trash-days", "0", meta, "bench"); err != nil {
		return nil, err
	}
	mount := func(endpoint, cache string) (*Peer, error) {
		return o.mounted(ctx, dir, "juicefs", env, "mount", "--no-usage-report", "--no-bgjob", "--bucket", endpoint+bucket,
			"--cache-dir", cache, "--cache-size", strconv.Itoa(o.CacheMiB), "--free-space-ratio", "0.02",
			meta, filepath.Join(dir, "mnt"))
	}
	loading := filepath.Join(dir, "loading")
	peer, err := mount(o.Store.Direct, loading)
	if err != nil {
		return nil, err
	}
	err = copyTree(ctx, peer.Root, o.Store.Source)
	peer.Stop()
	if err != nil {
		return nil, fmt.Errorf("copy the data set: %w", err)
	}
	if err := os.RemoveAll(loading); err != nil {
		return nil, err
	}
	return mount(o.Store.Endpoint, filepath.Join(dir, "cache"))
}

// startRedis starts Redis without persistence, on a unix socket.
func (o Options) startRedis(ctx context.Context, dir string) (*process, string, error) {
	socket := filepath.Join(dir, "redis.sock")
	redis, err := o.run(dir, "redis-server", nil, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no")
	if err != nil {
		return nil, "", err
	}
	err = redis.await(ctx, "Redis", func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if err != nil {
		redis.stop()
		return nil, "", err
	}
	return redis, socket, nil
}

// copyTree copies the regular files below a directory, several at a time.
func copyTree(ctx context.Context, to, from string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		group.Go(func() error { return copyFile(target, path) })
		return ctx.Err()
	})
	return errors.Join(err, group.Wait())
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return err
	}
	return target.Close()
}
