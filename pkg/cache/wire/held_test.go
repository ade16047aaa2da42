package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func sumOf(i int) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

// TestHeld checks that every version that was added is contained after it was sent,
// that few others are, and that damaged responses are refused.
func TestHeld(t *testing.T) {
	const n = 10_000
	set := NewHeld(n)
	for i := range n {
		set.Add(sumOf(i))
	}
	encoded := set.Encode()
	got, err := ReadHeld(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i := range n {
		if !got.Contains(sumOf(i)) {
			t.Fatalf("version %d is not contained", i)
		}
		if got.Contains(sumOf(n + i)) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("%d of %d absent versions are contained", wrong, n)
	}
	for _, size := range []int{0, n} {
		if empty, err := ReadHeld(bytes.NewReader(NewHeld(size).Encode())); err != nil || empty.Contains(sumOf(1)) || !empty.Empty() {
			t.Errorf("an empty set for %d versions: %v", size, err)
		}
	}
	one := NewHeld(1)
	one.Add(sumOf(1))
	if got.Empty() || one.Empty() {
		t.Error("a set with versions is empty")
	}
	for name, damaged := range map[string][]byte{
		"empty": nil, "cut": encoded[:len(encoded)-1], "longer": append(bytes.Clone(encoded), 0),
		"flipped": append(append([]byte{}, encoded[:50]...), append([]byte{encoded[50] ^ 1}, encoded[51:]...)...),
		"length":  append(append([]byte(heldMagic), 0xff, 0xff, 0xff, 0xff), encoded[12:]...),
	} {
		if _, err := ReadHeld(bytes.NewReader(damaged)); err == nil {
			t.Errorf("%s: a damaged response was accepted", name)
		}
	}
}
