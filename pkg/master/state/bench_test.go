package state

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// BenchmarkApply measures a command alone in its entry, and one among many.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(map[int]string{1: "alone", 64: "among 64"}[size], func(b *testing.B) {
			f := formed(b)
			f.must(by(1, mount("/data", "oss://b/")))
			sequence := uint64(1)
			for i := 0; i < b.N; i += size {
				commands := make([]*statev1.Command, size)
				for j := range commands {
					sequence++
					commands[j] = by(sequence, invalidate("/data"))
				}
				f.batch(commands...)
			}
		})
	}
}
