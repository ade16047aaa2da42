package ring_test

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// A reader computes the owner of each stripe of an object. It tries the owner
// first, then the other workers in the order of the ring.
func Example() {
	const mib = 1 << 20
	r := ring.New(&commonv1.Ring{
		Epoch:      1,
		StripeSize: 256 * mib,
		Members: []*commonv1.RingMember{
			{Name: "hadoop-jindofs-worker-0", Weight: 100 << 30},
			{Name: "hadoop-jindofs-worker-1", Weight: 100 << 30},
			{Name: "hadoop-jindofs-worker-2", Weight: 100 << 30},
		},
	})
	const size = 600 * mib
	for offset := int64(0); offset < size; offset += 256 * mib {
		stripe := r.Stripe(offset)
		key := ring.ObjectKey("m1", "train/part-0.parquet", "9b2cf535f27731c9", size, stripe)
		order := r.Order(key)
		fmt.Printf("stripe %d: %s, then %s\n", stripe, order[0].GetName(), order[1].GetName())
	}

	// When a worker leaves, only what it owned moves, to the next in the order.
	before := r.Order(ring.DirectoryKey("m1", "train"))
	left := before[0].GetName()
	var remaining []*commonv1.RingMember
	for _, m := range r.Members() {
		if m.GetName() != left {
			remaining = append(remaining, m)
		}
	}
	after := ring.New(&commonv1.Ring{Epoch: 2, StripeSize: 256 * mib, Members: remaining}).Order(ring.DirectoryKey("m1", "train"))
	fmt.Printf("directory train: %s, and without it %s\n", left, after[0].GetName())
	// Output:
	// stripe 0: hadoop-jindofs-worker-0, then hadoop-jindofs-worker-2
	// stripe 1: hadoop-jindofs-worker-0, then hadoop-jindofs-worker-1
	// stripe 2: hadoop-jindofs-worker-0, then hadoop-jindofs-worker-2
	// directory train: hadoop-jindofs-worker-1, and without it hadoop-jindofs-worker-0
}
