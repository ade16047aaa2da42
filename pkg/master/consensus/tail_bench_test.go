package consensus

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// BenchmarkAppend measures one durable append without and with the tail record,
// in turn on one file system, so that both see the same disk. It reports the
// medians, their ratio and the quartiles of the ratio.
func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	bare, recorded := appender(b, filepath.Join(dir, "bare"), false), appender(b, filepath.Join(dir, "recorded"), true)
	var without, with, ratios []float64
	for b.Loop() {
		x, y := bare(), recorded()
		without, with, ratios = append(without, x), append(with, y), append(ratios, y/x)
	}
	for _, s := range [][]float64{without, with, ratios} {
		slices.Sort(s)
	}
	at := func(s []float64, part int) float64 { return s[(len(s)-1)*part/4] }
	b.ReportMetric(at(without, 2), "µs/without")
	b.ReportMetric(at(with, 2), "µs/with")
	b.ReportMetric(at(with, 2)/at(without, 2), "ratio")
	b.ReportMetric(at(ratios, 1), "ratio-p25")
	b.ReportMetric(at(ratios, 3), "ratio-p75")
}

// appender returns a function that appends an entry and returns how long it
// took, in microseconds.
func appender(b *testing.B, path string, record bool) func() float64 {
	b.Helper()
	store, err := openDisk(path)
	if err != nil {
		b.Fatal(err)
	}
	g := &failStopDisk{disk: store, path: path, timeout: time.Minute, appends: &durations{}, fail: func(err error) { b.Error(err) }}
	if record {
		if err := createTail(path+".tail", "m-0-a", tailRecord{}); err != nil {
			b.Fatal(err)
		}
		if g.tail, err = openTail(path+".tail", "m-0-a"); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { _, _ = store.Close(), g.tail.close() })
	index := uint64(0)
	return func() float64 {
		index++
		l := &raft.Log{Index: index, Term: 1, Data: bytes.Repeat([]byte("x"), 200)}
		start := time.Now()
		if err := g.StoreLog(l); err != nil {
			b.Fatal(err)
		}
		return float64(time.Since(start).Nanoseconds()) / 1000
	}
}

// BenchmarkProve measures the proof of a directory whose log has 64 MiB.
func BenchmarkProve(b *testing.B) {
	h := memberDir{b.TempDir()}
	created, err := h.open("m-0", "c1")
	if err != nil {
		b.Fatal(err)
	}
	store, err := openDisk(h.log())
	if err != nil {
		b.Fatal(err)
	}
	const total, size = 64 << 20, 4 << 10
	for first := uint64(1); first <= total/size; first += 512 {
		logs := entries(first, first+511)
		for _, l := range logs {
			l.Data = make([]byte, size)
			seal(l)
		}
		if err := store.StoreLogs(logs); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(store.Set(keyTerm, sealValue(keyTerm, encodeNumber(1))), store.Close()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(total)
	for b.Loop() {
		if _, err := h.prove(created.identity); err != nil {
			b.Fatal(err)
		}
	}
}
