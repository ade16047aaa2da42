package reader

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jindo-io/jindo/pkg/cache/client/fakeworker"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// counting starts a proxy of an address that counts connections, and returns its
// port.
func counting(t *testing.T, address string, connections *atomic.Int64) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var copies sync.WaitGroup
	copies.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			copies.Go(func() {
				defer func() { _ = in.Close() }()
				out, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer func() { _ = out.Close() }()
				back := make(chan struct{})
				go func() {
					defer close(back)
					_, _ = io.Copy(in, out)
					_ = in.Close()
				}()
				_, _ = io.Copy(out, in)
				_ = out.Close()
				<-back
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		copies.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// TestColdFilesReuseConnections counts the connections to the workers while cold
// files are read one after another just after a change of the ring, when each
// owner first requests the bytes from the previous one, which has none.
func TestColdFilesReuseConnections(t *testing.T) {
	const files = 300
	var connections atomic.Int64
	f := newRealOf(t, 2, func(f *real) {
		f.listen = map[string]string{}
		swapped := &commonv1.Ring{Epoch: 1}
		for i, m := range f.view.Ring.Members {
			f.listen[m.GetName()] = net.JoinHostPort("127.0.0.1", fmt.Sprint(m.GetPort()))
			port := counting(t, f.listen[m.GetName()], &connections)
			m.Port, f.roster.Workers[i].Port = uint32(port), port
			if i == 0 {
				swapped.Members = append(swapped.Members, m)
			}
		}
		f.view.Ring.Epoch = 2
		f.view.PreviousRings = []*commonv1.Ring{swapped}
	})
	for i := range files {
		f.put(fmt.Sprintf("cold/%03d", i), random(uint64(i), 5000))
	}
	before := connections.Load()
	for i := range files {
		f.mustRead(f.lookup("cold", fmt.Sprintf("%03d", i)), random(uint64(i), 5000))
	}
	opened := connections.Load() - before
	t.Logf("%d connections for %d cold files", opened, files)
	// One a pair of components and protocol, and some that a pause or a race opened.
	if opened > 20 {
		t.Errorf("%d connections for %d cold files", opened, files)
	}
}

// TestFilesClosedEarlyKeepTheirConnection closes files while their bytes arrive: the
// few that are missing are received, so that the next file needs no connection of its
// own.
func TestFilesClosedEarlyKeepTheirConnection(t *testing.T) {
	const files = 8
	f := newFixture(t, 1)
	var mu sync.Mutex
	connections := map[string]bool{}
	f.cluster.Workers[0].Fail(func(_ int64, r *http.Request) fakeworker.Fault {
		mu.Lock()
		defer mu.Unlock()
		connections[r.RemoteAddr] = true
		return fakeworker.Fault{Trickle: 64 << 10}
	})
	for i := range files {
		file := f.open(f.put(fmt.Sprint(i), random(uint64(i), 256<<10)))
		if _, err := file.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		f.eventually("the request ends", func() bool { return f.reader.memory.used.Load() == 0 })
	}
	// A connection becomes free just after its request has ended.
	mu.Lock()
	defer mu.Unlock()
	if len(connections) > files/2 {
		t.Errorf("%d connections for %d files, one after another", len(connections), files)
	}
}
