package blockstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkFill caches versions and waits until all are sealed, and reports the
// processor time of the process, kernel included, for each.
func BenchmarkFill(b *testing.B) {
	for _, size := range []int{16 << 10, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkFill(b, size) })
	}
}

func benchmarkFill(b *testing.B, size int) {
	s, err := Open(Config{Tiers: []Tier{{Path: b.TempDir(), Quota: 8 << 30, Floor: 1}}, Dirty: 128 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	o := newOrigin(1, size)
	before := processorTime(b)
	b.ResetTimer()
	for i := range b.N {
		key := o.key(fmt.Sprint(i))
		if _, _, err := read(s, key, 0, key.Size, o.fetch); err != nil {
			b.Fatal(err)
		}
		for s.Stats().Dirty > 32<<20 {
			time.Sleep(time.Millisecond)
		}
	}
	for deadline := time.Now().Add(time.Minute); s.Stats().Tiers[0].Sealed < int64(b.N); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d versions are sealed", s.Stats().Tiers[0].Sealed, b.N)
		}
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
