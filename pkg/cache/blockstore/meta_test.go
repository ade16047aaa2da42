package blockstore

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func sidecar(m meta) []byte {
	b, sum := encodeHeader(m)
	blocks := blocksOf(m.key.Size, m.blockSize)
	b = append(b, make([]byte, metaSize(m.key, blocks)-int64(len(b)))...)
	if m.sealed {
		copy(b[sealOffset(m.key):], appendSlot(nil, sum, sealIndex, sealMark))
	}
	for i := range blocks {
		if m.present.has(i) {
			copy(b[slotOffset(m.key, i):], appendSlot(nil, sum, uint64(i), m.crcs[i]))
		}
	}
	return b
}

func drawMeta(t *rapid.T) meta {
	m := meta{
		key: Key{
			Mount: rapid.StringN(1, 20, maxMount).Draw(t, "mount"), Key: rapid.StringN(1, 50, maxName).Draw(t, "key"),
			ETag: rapid.StringN(1, 20, maxETag).Draw(t, "etag"), Size: rapid.Int64Range(0, 100_000).Draw(t, "size"),
		},
		blockSize: rapid.Int64Range(minBlockSize, 5000).Draw(t, "block size"),
		temporary: rapid.Bool().Draw(t, "temporary"), created: rapid.Int64().Draw(t, "created"),
	}
	blocks := blocksOf(m.key.Size, m.blockSize)
	m.present, m.crcs = newBitmap(blocks), make([]uint32, blocks)
	for i := range blocks {
		if rapid.Bool().Draw(t, "present") {
			m.present.set(i)
			m.crcs[i] = rapid.Uint32().Draw(t, "crc")
		}
	}
	m.sealed = m.present.count() == blocks && rapid.Bool().Draw(t, "sealed")
	return m
}

func TestSidecarRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawMeta(t)
		got, err := decodeMeta(sidecar(want))
		if err != nil {
			t.Fatal(err)
		}
		if got.key != want.key || got.sealed != want.sealed || got.temporary != want.temporary || got.created != want.created ||
			got.blockSize != want.blockSize || got.present.count() != want.present.count() {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i := range got.crcs {
			if got.crcs[i] != want.crcs[i] {
				t.Fatalf("block %d: crc %x, want %x", i, got.crcs[i], want.crcs[i])
			}
		}
	})
}

// TestTornSidecar cuts a sidecar at any byte, or changes any byte: it must not
// yield a block that was absent, or another checksum.
func TestTornSidecar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawMeta(t)
		b := sidecar(want)
		if rapid.Bool().Draw(t, "cut") {
			b = b[:rapid.IntRange(0, len(b)).Draw(t, "length")]
		} else {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		}
		got, err := decodeMeta(b)
		if err != nil {
			if !errors.Is(err, errMeta) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if got.key != want.key {
			t.Fatalf("another key: %+v", got.key)
		}
		for i := range blocksOf(want.key.Size, want.blockSize) {
			if got.present.has(i) && (!want.present.has(i) || got.crcs[i] != want.crcs[i]) {
				t.Fatalf("block %d appeared", i)
			}
		}
		if got.sealed && !want.sealed {
			t.Fatal("a seal appeared")
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	m := meta{key: Key{Mount: "m1", Key: "dir/a", ETag: "abc", Size: 3000}, blockSize: 1024, present: newBitmap(3), crcs: []uint32{1, 2, 3}}
	for i := range int64(3) {
		m.present.set(i)
	}
	m.sealed = true
	good := sidecar(m)
	f.Add(good)
	f.Add(good[:70])
	f.Add([]byte(metaMagic))
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if err := m.key.Validate(); err != nil {
			t.Errorf("accepted an invalid key: %v", err)
		}
		if m.sealed && m.present.count() != blocksOf(m.key.Size, m.blockSize) {
			t.Error("sealed without all blocks")
		}
	})
}

func TestParseTier(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Tier
		ok   bool
	}{
		{"SSD:/a/b:100", Tier{Medium: "SSD", Path: "/a/b", Quota: 100}, true},
		{"MEM:/dev/shm:100:0.9:0.8", Tier{Medium: "MEM", Path: "/dev/shm", Quota: 100, High: 0.9, Low: 0.8}, true},
		{"HDD:/a:1:1:1", Tier{Medium: "HDD", Path: "/a", Quota: 1, High: 1, Low: 1}, true},
		{"SSD:/a", Tier{}, false},
		{"SSD:/a:100:0.9", Tier{}, false},
		{"DISK:/a:100", Tier{}, false},
		{"SSD:a:100", Tier{}, false},
		{"SSD:/a:0", Tier{}, false},
		{"SSD:/a:-5", Tier{}, false},
		{"SSD:/a:2G", Tier{}, false},
		{"SSD:/a:100:0.8:0.9", Tier{}, false},
		{"SSD:/a:100:1.1:0.9", Tier{}, false},
		{"SSD:/a:100:0:0", Tier{}, false},
		{"", Tier{}, false},
	} {
		got, err := ParseTier(c.in)
		if (err == nil) != c.ok || c.ok && got != c.want {
			t.Errorf("%q: %+v, %v", c.in, got, err)
		}
	}
}
