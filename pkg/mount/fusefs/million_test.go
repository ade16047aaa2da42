//go:build linux

package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// BenchmarkTakeover measures a table of a million nodes, or of JINDO_BENCH_NODES:
// memory and file for each node, the longest time for which one request waits for
// the table while it grows, the time from the start of a successor until its first
// reply, and the longest wait during its scan.
func BenchmarkTakeover(b *testing.B) {
	nodes := benchNodes()
	for b.Loop() {
		measureTakeover(b, nodes)
	}
}

func benchNodes() int {
	if n, err := strconv.Atoi(os.Getenv("JINDO_BENCH_NODES")); err == nil {
		return n
	}
	return 1_000_000
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func manyNames(from, n int) []lookup {
	names := make([]lookup, n)
	for i := range names {
		key := fmt.Sprintf("train/class-%04d/image-%08d.jpeg", (from+i)/1000, from+i)
		names[i] = lookup{path: "/hadoop/" + key, entry: reader.Entry{Version: reader.Version{
			Mount: "0123456789abcdef", Key: key, ETag: fmt.Sprintf("%032x", from+i), Size: 110_000,
		}, Modified: time.Unix(1700000000, 0)}}
	}
	return names
}

func measureTakeover(b *testing.B, nodes int) {
	dir, source := b.TempDir(), &counter{}
	before := heapInUse()
	table := reopen(b, dir, nil, source)
	began := time.Now()
	var stall, table100 time.Duration
	for i := 0; i < nodes; i += 100 {
		names := manyNames(i, 100)
		one := time.Now()
		table.recordLookups(uint64(i+1), names, nil)
		table.replied(uint64(i + 1))
		took := time.Since(one)
		stall, table100 = max(stall, took), table100+took
	}
	_, _, size := table.sizes()
	after := heapInUse()
	heap := after - min(before, after)
	b.Logf("%d nodes in %s, of which the table took %s: %.1f µs a lookup; longest stall of a request %s", nodes,
		time.Since(began).Round(time.Millisecond), table100.Round(time.Millisecond), float64(table100.Microseconds())/float64(nodes), stall.Round(10*time.Microsecond))
	b.Logf("%d bytes a node in the mapped file, %d of heap", size/int64(nodes), heap/uint64(nodes))
	b.ReportMetric(float64(uint64(size)+heap)/float64(nodes), "B/node")
	b.ReportMetric(float64(stall.Microseconds())/1000, "ms-stall-filling")
	_ = table.close()

	began = time.Now()
	table = reopen(b, dir, nil, source)
	defer func() { _ = table.close() }()
	if _, ok := table.node(uint64(nodes / 2)); !ok {
		b.Fatal("a node is lost")
	}
	first := time.Since(began)
	scanned := make(chan struct{})
	go func() { waitForScanned(table); close(scanned) }()
	stall = stallsUntil(table, nodes, scanned)
	b.Logf("the successor replied after %s; its scan took %s, longest stall of a request meanwhile %s",
		first.Round(10*time.Microsecond), time.Since(began).Round(time.Millisecond), stall.Round(10*time.Microsecond))
	b.ReportMetric(float64(first.Microseconds())/1000, "ms-first-reply")
	b.ReportMetric(float64(stall.Microseconds())/1000, "ms-stall-scan")
}

// stallsUntil makes requests from two goroutines until done is closed, and returns
// the longest.
func stallsUntil(table *table, nodes int, done chan struct{}) (worst time.Duration) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for g := range 2 {
		group.Go(func() {
			for i := g; ; i += 2 {
				select {
				case <-done:
					return
				default:
				}
				unique := uint64(nodes) + 2*uint64(i) + 2
				began := time.Now()
				table.recordLookups(unique, manyNames(i*37%nodes, 1), nil)
				table.replied(unique)
				took := time.Since(began)
				mu.Lock()
				worst = max(worst, took)
				mu.Unlock()
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	group.Wait()
	return worst
}

// BenchmarkImport measures the one takeover from a server of the previous version,
// which wrote a journal of a million nodes.
func BenchmarkImport(b *testing.B) {
	nodes := benchNodes()
	raw := encodeJournal(1, [16]byte{1}, time.Unix(1, 0))
	for i, f := range manyNames(0, nodes) {
		raw = appendRecord(raw, uint64(i+1), []op{{kind: opLookup, node: uint64(i + 2), count: 1, path: f.path, modified: 1, version: f.entry.Version}})
	}
	for b.Loop() {
		dir := b.TempDir()
		if err := os.WriteFile(filepath.Join(dir, journalName), raw, 0o600); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		table := reopen(b, dir, nil, &counter{})
		b.Logf("%d nodes imported in %s", nodes, time.Since(began).Round(time.Millisecond))
		_ = table.close()
	}
}
