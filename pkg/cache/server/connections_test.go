package server

import (
	"fmt"
	"testing"
)

// TestConnectionsStayOpen checks that no connection is opened for a request once each
// pair of processes has some: neither over TLS nor over the socket.
func TestConnectionsStayOpen(t *testing.T) {
	c := newCluster(t, 3, 0)
	remote, local := c.client(-1), c.client(0)
	read := func(from, to int) {
		for i := from; i < to; i++ {
			key := c.bucket.put(fmt.Sprint("object", i), uint64(i), 3000)
			c.mustRead(remote, key, 0, key.Size)
			c.mustRead(local, key, 0, key.Size)
		}
	}
	read(0, 50)
	warm := []int64{remote.Counts().TLS, local.Counts().TLS, local.Counts().Sockets}
	if warm[2] == 0 || warm[0] > 6 || warm[1] > 4 || warm[2] > 2 {
		t.Errorf("50 reads opened %d and %d TLS connections and %d to sockets", warm[0], warm[1], warm[2])
	}
	read(50, 250)
	for i, after := range []int64{remote.Counts().TLS, local.Counts().TLS, local.Counts().Sockets} {
		if after != warm[i] {
			t.Errorf("200 further reads opened %d connections", after-warm[i])
		}
	}
}
