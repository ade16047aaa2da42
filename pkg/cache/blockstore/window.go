package blockstore

import "time"

// The window of recent reads is a ring of buckets. The newest bucket is not full
// yet, so the window covers between RecentWindow-bucketWidth and RecentWindow.
const (
	// RecentWindow is the time that Stats.Recent covers.
	RecentWindow = 5 * time.Minute
	bucketWidth  = 10 * time.Second
	bucketCount  = int(RecentWindow / bucketWidth)
)

// Reads counts reads that were handed out by the store. Of a file that is lent, each
// open counts as one hit, and the bytes are counted that the borrower reports. A
// borrower does not know the bytes that the kernel reads from the file itself
// (passthrough), so that these are not counted.
type Reads struct {
	// Hits and Misses are numbers of reads. A miss started a download itself; a
	// read that waited for another read's download is a hit.
	Hits, Misses int64
	// HitBytes and MissBytes were requested by hits and misses.
	HitBytes, MissBytes int64
}

func (r *Reads) add(other Reads) {
	r.Hits += other.Hits
	r.Misses += other.Misses
	r.HitBytes += other.HitBytes
	r.MissBytes += other.MissBytes
}

// readWindow counts the reads of the last RecentWindow.
type readWindow struct {
	opened time.Time
	// newest is the number of the newest bucket, counted from opened. Bucket n
	// is buckets[n % bucketCount].
	newest  int64
	buckets [bucketCount]Reads
}

// add counts reads at a time. A time before the newest bucket, which only a
// clock that was set back yields, counts as the newest.
func (w *readWindow) add(now time.Time, r Reads) {
	w.advance(now)
	w.buckets[w.newest%int64(bucketCount)].add(r)
}

// sum returns the reads in the window that ends now.
func (w *readWindow) sum(now time.Time) Reads {
	w.advance(now)
	var sum Reads
	for _, bucket := range w.buckets {
		sum.add(bucket)
	}
	return sum
}

// advance empties the buckets that have left the window.
func (w *readWindow) advance(now time.Time) {
	current := int64(now.Sub(w.opened) / bucketWidth)
	if current-w.newest >= int64(bucketCount) {
		w.newest, w.buckets = current, [bucketCount]Reads{}
		return
	}
	for w.newest < current {
		w.newest++
		w.buckets[w.newest%int64(bucketCount)] = Reads{}
	}
}
