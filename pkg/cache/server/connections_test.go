package server

import (
	"fmt"
	"testing"
)

// TestConnectionsStayOpen checks that connections are used again once each pair of
// processes has some: those over TLS and those to the socket.
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
	// net/http does not use a connection again if the goroutine that has written the
	// request runs 50 ms after the response: on a busy machine there are some more.
	if warm[2] == 0 || warm[0] > 15 || warm[1] > 10 || warm[2] > 5 {
		t.Errorf("50 reads opened %d and %d TLS connections and %d to sockets", warm[0], warm[1], warm[2])
	}
	read(50, 250)
	for i, after := range []int64{remote.Counts().TLS, local.Counts().TLS, local.Counts().Sockets} {
		if after > warm[i]+10 {
			t.Errorf("200 further reads opened %d connections", after-warm[i])
		}
	}
}
