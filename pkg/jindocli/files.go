package jindocli

import (
	"context"
	"errors"
	"fmt"

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
	return opened{r}, nil
}

// opened adapts a reader to Files.
type opened struct{ *reader.Reader }

// Open opens the bytes of one version.
func (o opened) Open(ctx context.Context, version reader.Version) (File, error) {
	return o.Reader.Open(ctx, version)
}
