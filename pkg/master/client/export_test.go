package client

import "google.golang.org/grpc/connectivity"

// Connected reports whether a client is connected to all masters.
func Connected(c *Client) bool {
	for _, m := range c.members.all() {
		if m.conn.GetState() != connectivity.Ready {
			return false
		}
	}
	return true
}
