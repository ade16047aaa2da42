package reader

import (
	"bytes"
	"testing"
)

// TestReadNow checks that bytes that were read ahead are returned without waiting,
// stay valid until they are released, and that nothing else is returned.
func TestReadNow(t *testing.T) {
	f := newFixture(t, 1)
	data := random(91, 3<<20)
	file := f.open(f.put("file", data))
	p := make([]byte, 4096)
	if _, ok := file.ReadNow(p, 0); ok {
		t.Fatal("bytes were returned before any were read")
	}
	if _, err := file.ReadAt(t.Context(), p, 0); err != nil {
		t.Fatal(err)
	}
	var lent Lent
	f.eventually("the next bytes are in memory", func() (ok bool) {
		lent, ok = file.ReadNow(p, 4096)
		return ok
	})
	if !bytes.Equal(lent.Bytes, data[4096:8192]) {
		t.Error("wrong bytes")
	}
	for _, outside := range []int64{-1, int64(len(data)) - 4095, int64(len(data)), 1 << 62} {
		if _, ok := file.ReadNow(p, outside); ok {
			t.Errorf("bytes at %d were returned", outside)
		}
	}
	if _, ok := file.ReadNow(nil, 0); ok {
		t.Error("no bytes were returned as bytes")
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	// The memory must not be used again before the bytes are released.
	other := f.open(f.put("other", random(92, 3<<20)))
	if _, err := other.ReadAt(t.Context(), make([]byte, 2<<20), 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lent.Bytes, data[4096:8192]) {
		t.Error("the bytes changed before they were released")
	}
	lent.Release()
	if _, ok := file.ReadNow(p, 4096); ok {
		t.Error("a closed file returned bytes")
	}
}
