//go:build linux

package fdsock

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// TestStreamIgnoresPackets checks that bytes arrive in order however they are cut
// into packets and reads.
func TestStreamIgnoresPackets(t *testing.T) {
	a, b := pair(t)
	r := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 100_000) // more than the buffer of the socket is not needed
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	go func() {
		out := NewStream(a)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(3*streamPacket))
			if _, err := out.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	}()
	got, in := make([]byte, 0, len(want)), NewStream(b)
	for buf := make([]byte, 7001); len(got) < len(want); {
		n, err := in.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("other bytes arrived")
	}
	if n, err := in.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
}

// TestStreamRefusesFiles checks that descriptors end a stream and are not leaked.
func TestStreamRefusesFiles(t *testing.T) {
	a, b := pair(t)
	before := openDescriptors(t)
	if err := Send(a, []byte("hello"), file(t, "x")); err != nil {
		t.Fatal(err)
	}
	if n, err := NewStream(b).Read(make([]byte, 100)); n != 0 || !errors.Is(err, errFiles) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if after := openDescriptors(t); after != before+1 { // the file that was sent
		t.Errorf("%d descriptors are open, want %d", after, before+1)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(NewStream(b)); err == nil {
		t.Error("no error after the end of the connection")
	}
}
