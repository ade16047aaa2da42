package peer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// region is the one that the store's clients sign with.
const region = "us-east-1"

func (s Store) environment() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + s.AccessKeySecret, "AWS_REGION=" + region}
}

func startS3FS(ctx context.Context, o Options, dir string) (*Peer, error) {
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(o.Store.AccessKeyID+":"+o.Store.AccessKeySecret+"\n"), 0o600); err != nil {
		return nil, err
	}
	return o.mounted(ctx, dir, "s3fs", nil, o.Store.Bucket, filepath.Join(dir, "mnt"), "-f",
		"-o", "url="+o.Store.Endpoint, "-o", "use_path_request_style", "-o", "endpoint="+region,
		"-o", "passwd_file="+keys, "-o", "use_cache="+filepath.Join(dir, "cache"), "-o", "ro",
		"-o", "parallel_count=16", "-o", "multipart_size=16", "-o", "max_stat_cache_size=200000")
}

func startRclone(ctx context.Context, o Options, dir string) (*Peer, error) {
	return o.mounted(ctx, dir, "rclone", o.Store.environment(),
		"mount", ":s3:"+o.Store.Bucket, filepath.Join(dir, "mnt"), "--config", os.DevNull,
		"--s3-provider", "Other", "--s3-endpoint", o.Store.Endpoint, "--s3-region", region, "--s3-env-auth",
		"--vfs-cache-mode", "full", "--cache-dir", filepath.Join(dir, "cache"), "--read-only",
		"--vfs-cache-max-size", fmt.Sprintf("%dM", o.CacheMiB), "--vfs-cache-poll-interval", "1s",
		"--dir-cache-time", "1h", "--attr-timeout", "60s", "--buffer-size", "16M")
}

func startGeesefs(ctx context.Context, o Options, dir string) (*Peer, error) {
	return o.mounted(ctx, dir, "geesefs", o.Store.environment(), "-f", "--endpoint", o.Store.Endpoint, "--region", region,
		"--cache", filepath.Join(dir, "cache"), "-o", "ro", "--stat-cache-ttl", "1h", o.Store.Bucket, filepath.Join(dir, "mnt"))
}

func startGoofys(ctx context.Context, o Options, dir string) (*Peer, error) {
	peer, err := o.mounted(ctx, dir, "goofys", o.Store.environment(), "-f", "--endpoint", o.Store.Endpoint, "--region", region,
		"-o", "ro", "--stat-cache-ttl", "1h", "--type-cache-ttl", "1h", o.Store.Bucket, filepath.Join(dir, "mnt"))
	if err == nil {
		peer.Caches = false
	}
	return peer, err
}
