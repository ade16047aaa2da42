package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
)

const (
	// linkRate is that of the link to remote mounts, in bytes per second: 2.5
	// Gbit/s.
	linkRate = 2_500_000_000 / 8
	// remoteSize is that of the files that are read in sequence.
	remoteSize = 256 << 20
)

func planRemote(repetitions int) layout {
	var l layout
	for n := range repetitions {
		l.cold = append(l.cold, dataset.File{Path: fmt.Sprintf("models/remote-%d.bin", n), Size: remoteSize})
		l.first = append(l.first, smallSet(fmt.Sprintf("first-%d", n), firstFiles, 256<<10, 1<<20, uint64(n)))
	}
	return l
}

// remote measures reads of what workers on another host have cached, compared with
// HTTPS from that host.
func remote(ctx context.Context, r *run) ([]report, error) {
	l, err := r.openWith(ctx, setup{name: "remote", files: planRemote(r.repetitions), cacheMiB: 24 << 10, rate: linkRate})
	if err != nil {
		return nil, err
	}
	// The workers cache every file: the runtime's own mount reads it.
	local := contender{name: ours, root: l.testbed.Root()}
	for n := range r.repetitions {
		if err := verifyFiles(local, append(l.files.first[n], l.files.cold[n])); err != nil {
			return nil, fmt.Errorf("fill the cache: %w", err)
		}
	}
	if err := l.warmStore(append(flatten(l.files.first), l.files.cold...)); err != nil {
		return nil, err
	}
	server := httptest.NewUnstartedServer(http.FileServer(http.Dir(l.source)))
	_ = server.Listener.Close()
	if server.Listener, err = net.Listen("tcp", net.JoinHostPort(l.host(), "0")); err != nil {
		return nil, err
	}
	server.StartTLS()
	defer server.Close()
	https := l.linkClient(server)
	defer https.client.CloseIdleConnections()
	sequentialReads, err := l.remoteSequential(ctx, r, https)
	if err != nil {
		return nil, fmt.Errorf("sequential: %w", err)
	}
	firstReads, err := l.remoteFirst(ctx, r, https)
	if err != nil {
		return nil, fmt.Errorf("first byte: %w", err)
	}
	return []report{sequentialReads, firstReads}, l.verify(append(l.files.first[0], l.files.cold[0]))
}

const remoteNotes = "The mounts are in a network namespace, the workers, the store and the HTTPS server in another, with 2.5 Gbit/s between them. Our workers have each file in their cache. Peers do not share caches between hosts: they read the store over the same link, JuiceFS with a Redis on its own side. Raw: HTTPS GETs of the file over one connection."

func (l *lab) remoteSequential(ctx context.Context, r *run, https getter) (*contest, error) {
	result := &contest{
		Name: "remote-sequential", Title: "Sequential, from a worker on another host", Unit: "MiB/s", Per: "GiB",
		Notes: fmt.Sprintf("A file of %d MiB that the mount has not read before. ", remoteSize>>20) + remoteNotes,
	}
	err := l.race(ctx, r.repetitions, result, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) {
			begin := time.Now()
			size, err := https.get(ctx, l.files.cold[n].Path, "")
			return work{float64(size) / mib, time.Since(begin).Seconds(), size}, err
		},
		func(_ context.Context, c contender, n int) (work, error) {
			return sequential(filepath.Join(c.root, l.files.cold[n].Path), false)
		}, gib)
	result.withoutStore(rawName)
	return result, err
}

func (l *lab) remoteFirst(ctx context.Context, r *run, https getter) (*contest, error) {
	result := &contest{
		Name: "remote-first-byte", Title: "First byte, from a worker on another host", Unit: "ms, median", Per: "1,000 files", Lower: true,
		Notes: fmt.Sprintf("open and read one byte, one file after the other, of %d files of 256 KiB to 1 MiB that the mount has not opened before. ", firstFiles) + remoteNotes,
	}
	err := l.race(ctx, r.repetitions, result, func(c contender) bool { return !c.limit },
		func(ctx context.Context, _ contender, n int) (work, error) {
			var took []float64
			for _, f := range l.files.first[n] {
				begin := time.Now()
				if _, err := https.get(ctx, f.Path, "bytes=0-0"); err != nil {
					return work{}, err
				}
				took = append(took, float64(time.Since(begin).Microseconds())/1e3)
			}
			return medianOf(took), nil
		},
		func(_ context.Context, c contender, n int) (work, error) {
			took, err := firstBytes(paths(c, l.files.first[n]))
			return medianOf(took), err
		}, thousandBytes)
	result.withoutFetched()
	result.withoutStore(rawName)
	return result, err
}

// getter sends requests to one server from the far end of the link.
type getter struct {
	client *http.Client
	url    string
}

func (l *lab) linkClient(server *httptest.Server) getter {
	// The transport has the certificate of the server. It speaks HTTP/1.1, whose
	// connections have no windows of their own.
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.DialContext, transport.ForceAttemptHTTP2 = l.link.Dial, false
	transport.TLSClientConfig.ServerName = "example.com" // of httptest's certificate
	return getter{&http.Client{Transport: transport}, "https://" + server.Listener.Addr().String()}
}

// get fetches an object, or the bytes of a Range header, and returns their number.
func (g getter) get(ctx context.Context, key, bytes string) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/"+key, nil)
	if err != nil {
		return 0, err
	}
	if bytes != "" {
		request.Header.Set("Range", bytes)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return 0, fmt.Errorf("GET %s: %s", key, response.Status)
	}
	return io.Copy(io.Discard, response.Body)
}
