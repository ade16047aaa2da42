package control

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jindo-io/jindo/test/e2e/cluster/machine"
	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// stores starts both object stores, each with an empty bucket. Files written into
// their directories become objects.
func (c *cluster) stores(ctx context.Context) error {
	for _, dir := range []string{c.Layout.OSS(), c.Layout.S3()} {
		if err := os.MkdirAll(filepath.Join(dir, state.Bucket), 0o755); err != nil {
			return err
		}
	}
	oss := net.JoinHostPort(state.Bridge, strconv.Itoa(state.OSSPort))
	s3 := net.JoinHostPort(state.Bridge, strconv.Itoa(state.S3Port))
	for _, program := range []machine.Program{
		{
			Name: "ossserver", Path: c.Programs.OSSServer,
			Args: []string{
				"--listen", oss, "--access-key-id", state.AccessKeyID, "--access-key-secret", state.AccessKeySecret,
				"--bucket", state.Bucket + "=" + filepath.Join(c.Layout.OSS(), state.Bucket),
			},
		},
		{
			Name: "versitygw", Path: c.Programs.Versitygw,
			Args: []string{"--port", s3, "--quiet", "--keep-alive", "posix", c.Layout.S3()},
			Env:  []string{"ROOT_ACCESS_KEY=" + state.AccessKeyID, "ROOT_SECRET_KEY=" + state.AccessKeySecret},
		},
	} {
		if err := c.keeper.Keep(ctx, program); err != nil {
			return err
		}
	}
	go forward(ctx, c.Listeners[1], oss)
	go forward(ctx, c.Listeners[2], s3)
	return nil
}
