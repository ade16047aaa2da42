package client

// Counts are numbers of a client since it was created.
type Counts struct {
	// TLS counts the TLS connections for bytes, and Sockets those to unix sockets of
	// workers on this host.
	TLS, Sockets int64
	// Ahead counts the small objects that were read after they had been fetched
	// ahead.
	Ahead int64
	// Copies counts the node copies that a worker on this host was requested to
	// assemble, and has accepted.
	Copies int64
}

// Counts returns the numbers of this client.
func (c *Client) Counts() Counts {
	var counts Counts
	c.mu.Lock()
	for _, w := range c.workers {
		opened := w.transport.Counts()
		counts.TLS += opened.TLS
		counts.Sockets += opened.Sockets
	}
	c.mu.Unlock()
	c.small.mu.Lock()
	defer c.small.mu.Unlock()
	counts.Ahead = c.small.served
	c.copies.mu.Lock()
	defer c.copies.mu.Unlock()
	counts.Copies = c.copies.requested
	return counts
}
