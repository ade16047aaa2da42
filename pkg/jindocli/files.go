package jindocli

import (
	"context"
	"errors"
	"fmt"
	"time"

	cacheclient "github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// Files opens the tree. Names and bytes come from the workers over the network.
func (c *remote) Files(ctx context.Context) (Files, error) {
	config := cacheclient.Config{Topology: c.targets.Topology, Identity: c.targets.Identity, Logger: c.logger}
	if c.masters != nil {
		config.Masters = c.masters
	}
	workers, err := cacheclient.New(config)
	if err != nil {
		return nil, err
	}
	r, err := reader.New(reader.Config{Cluster: workers, Logger: c.logger})
	if err != nil {
		return nil, errors.Join(err, workers.Close())
	}
	// The reader is closed before the client that it uses.
	c.closers = append([]func(){func() { _, _ = r.Close(), workers.Close() }}, c.closers...)
	if err := workers.Wait(ctx); err != nil {
		return nil, fmt.Errorf("waiting for the mount table from a master or worker: %w", err)
	}
	// The first view may be that of a worker, which may be older than the masters'.
	// Without masters it has to do.
	if err := current(ctx, c.masters != nil, workers); err != nil {
		c.logger.Debug("the mount table may be outdated", "error", err)
	}
	return opened{r}, nil
}

// currentTimeout bounds the time for which a command waits for the masters' mount
// table when it has that of a worker.
const currentTimeout = 2 * time.Second

func current(ctx context.Context, masters bool, workers *cacheclient.Client) error {
	if !masters {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, currentTimeout)
	defer cancel()
	return workers.Current(ctx)
}

// opened adapts a reader to Files.
type opened struct{ *reader.Reader }

// Open opens the bytes of one version.
func (o opened) Open(ctx context.Context, version reader.Version) (File, error) {
	return o.Reader.Open(ctx, version)
}
