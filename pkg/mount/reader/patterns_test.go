package reader

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

const mib = 1 << 20

// requested returns the number of requests to workers, and of the bytes in them.
func (f *fixture) requested(mu *sync.Mutex, got *[]string) (count int, sum int64) {
	f.Helper()
	mu.Lock()
	defer mu.Unlock()
	for _, r := range *got {
		var first, last int64
		if _, err := fmt.Sscanf(r, "bytes=%d-%d", &first, &last); err != nil {
			f.Fatal(err)
		}
		sum += last - first + 1
	}
	return len(*got), sum
}

// mustReadAt reads length bytes and compares them.
func (f *fixture) mustReadAt(file *File, data []byte, offset, length int64) {
	p := make([]byte, length)
	if n, err := file.ReadAt(f.Context(), p, offset); err != nil || !bytes.Equal(p, data[offset:offset+length]) {
		f.Errorf("read %d bytes at %d: got %d bytes, error %v", length, offset, n, err)
	}
}

// TestInterleavedStreams reads the parts of a file as sequential streams of one
// handle, in turn and at the same time: hardly any byte is requested twice.
func TestInterleavedStreams(t *testing.T) {
	const streams, size, piece = 16, 64 * mib, 128 << 10
	data := random(70, size)
	for _, parallel := range []bool{false, true} {
		t.Run(fmt.Sprintf("parallel %v", parallel), func(t *testing.T) {
			f := newFixture(t, 2)
			file := f.open(f.put("file", data))
			mu, got := f.ranges()
			if parallel {
				var readers sync.WaitGroup
				for i := range int64(streams) {
					readers.Go(func() {
						for at := int64(0); at < size/streams; at += piece {
							f.mustReadAt(file, data, i*size/streams+at, piece)
						}
					})
				}
				readers.Wait()
			} else {
				for at := int64(0); at < size/streams; at += piece {
					for i := range int64(streams) {
						f.mustReadAt(file, data, i*size/streams+at, piece)
					}
				}
			}
			count, sum := f.requested(mu, got)
			t.Logf("%d requests for %.3f of the bytes", count, float64(sum)/size)
			if sum > size*105/100 || count > size/piece/2 {
				t.Errorf("%d requests of %d bytes for a file of %d, want at most 1.05 of its bytes in %d", count, sum, size, size/piece/2)
			}
		})
	}
}

// TestHandlesOfOneFileShareReadAhead reads one file through eight handles, each of
// which gets some of the reads, as when processes map the same file.
func TestHandlesOfOneFileShareReadAhead(t *testing.T) {
	const size, piece = 32 * mib, 128 << 10
	data := random(71, size)
	f := newFixture(t, 2)
	v := f.put("file", data)
	var files []*File
	for range 8 {
		files = append(files, f.open(v))
	}
	mu, got := f.ranges()
	for at, i := int64(0), 0; at < size; at, i = at+piece, i+1 {
		f.mustReadAt(files[i*5%8], data, at, piece)
		if i == 100 {
			// What it has requested stays for the others.
			if err := files[0].Close(); err != nil {
				t.Fatal(err)
			}
			files[0] = files[1]
		}
	}
	count, sum := f.requested(mu, got)
	t.Logf("%d requests for %.3f of the bytes", count, float64(sum)/size)
	if sum > size*102/100 || count > 30 {
		t.Errorf("%d requests of %d bytes for a file of %d, want at most 1.02 of its bytes in 30", count, sum, size)
	}
	for _, file := range files[1:] {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f.eventually("nothing is in use", func() bool { return f.reader.memory.used.Load() == 0 })
	if open := len(f.reader.versions); open != 0 {
		t.Errorf("%d versions are in use after the last file was closed", open)
	}
}

// TestRandomReadsAreNotReadAhead reads pages in random order: near one another and
// far apart, some of them next to each other by chance.
func TestRandomReadsAreNotReadAhead(t *testing.T) {
	const page = 4096
	for _, test := range []struct{ size, reads int64 }{{4 * mib, 400}, {32 * mib, 1500}, {64 * mib, 1500}} {
		t.Run(fmt.Sprintf("%d MiB", test.size/mib), func(t *testing.T) {
			data := random(72, int(test.size))
			f := newFixture(t, 2)
			file := f.open(f.put("file", data))
			mu, got := f.ranges()
			for _, i := range rand.New(rand.NewPCG(73, 1)).Perm(int(test.size / page))[:test.reads] {
				f.mustReadAt(file, data, int64(i)*page, page)
			}
			count, sum := f.requested(mu, got)
			t.Logf("%d requests of %.2f MiB for %.2f MiB", count, float64(sum)/mib, float64(test.reads*page)/mib)
			// The first page of a file is read with what follows it.
			if most := test.reads*page*5/4 + mib; sum > most {
				t.Errorf("%d bytes were requested, want at most %d", sum, most)
			}
		})
	}
}

// TestStridesAreReadAhead reads equal pieces at equal distances: what follows is
// requested before it is read, and nothing between.
func TestStridesAreReadAhead(t *testing.T) {
	const size, step, length = 64 * mib, 512 << 10, 64 << 10
	data := random(74, size)
	f := newFixture(t, 2)
	file := f.open(f.put("file", data))
	mu, got := f.ranges()
	reads := int64(0)
	for at := int64(step / 2); at < size; at += step {
		f.mustReadAt(file, data, at, length)
		reads++
	}
	_, sum := f.requested(mu, got)
	hits := f.value(f.reader.metrics.prefetchHits)
	t.Logf("%.3f of the bytes, %.0f of %d reads ahead", float64(sum)/float64(reads*length), hits, reads)
	if sum > reads*length*105/100 {
		t.Errorf("%d bytes were requested for %d", sum, reads*length)
	}
	if hits < float64(reads-4) {
		t.Errorf("%.0f of %d reads were requested ahead, want all but four", hits, reads)
	}
}

// TestReadAheadInVainIsBounded reads records with gaps, which are sequential until
// they end: what is requested in vain stays in proportion.
func TestReadAheadInVainIsBounded(t *testing.T) {
	const size, step, record, piece = 256 * mib, 16 * mib, 4 * mib, 256 << 10
	data := random(75, size)
	f := newFixture(t, 2)
	file := f.open(f.put("file", data))
	mu, got := f.ranges()
	var read int64
	for start := int64(0); start < size; start += step {
		for at := start; at < start+record; at += piece {
			f.mustReadAt(file, data, at, piece)
			read += piece
		}
	}
	_, sum := f.requested(mu, got)
	t.Logf("%d MiB of %d MiB were requested in vain", (sum-read)/mib, sum/mib)
	if sum > read+read/2+spare {
		t.Errorf("%d bytes were requested for %d, want at most half as many and %d in vain", sum, read, spare)
	}
}

// TestWindowGrowsQuickly checks how much of a sequential read is requested ahead
// before the first byte arrives, and once some were read.
func TestWindowGrowsQuickly(t *testing.T) {
	f := newFixture(t, 1)
	file := f.open(f.put("file", random(76, 128*mib)))
	for at, least := range []int64{1, 8, 12, 12, 16, 16, 18, 18, 20} {
		if err := file.plan(int64(at)*mib, mib); err != nil {
			t.Fatal(err)
		}
		file.mu.Lock()
		end := file.ahead.streams[0].end
		file.mu.Unlock()
		if got := end/mib - int64(at); got < least {
			t.Errorf("at %d MiB, %d MiB are requested ahead, want %d", at, got, least)
		}
	}
}
