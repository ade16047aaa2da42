package consensus

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// blob is a snapshot of plain bytes.
type blob []byte

func (b blob) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

func (b blob) Release() {}

func sealedSnapshot(t testing.TB, header envelopeHeader, state []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := writeEnvelope(&out, header, blob(state)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openSnapshot(raw []byte) (envelopeHeader, []byte, error) {
	e, err := openEnvelope(bytes.NewReader(raw))
	if err != nil {
		return envelopeHeader{}, nil, err
	}
	state, err := io.ReadAll(e)
	return e.header, state, err
}

func TestEnvelopeRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		header := envelopeHeader{rapid.Uint64().Draw(r, "index"), rapid.Uint64().Draw(r, "configuration")}
		state := bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(r, "state"), rapid.IntRange(0, 3000).Draw(r, "times"))
		got, back, err := openSnapshot(sealedSnapshot(t, header, state))
		if err != nil || got != header || !bytes.Equal(back, state) {
			r.Fatalf("got %+v and %d bytes, %v; wrote %+v and %d bytes", got, len(back), err, header, len(state))
		}
	})
}

func TestEnvelopeFindsEveryFlippedBitAndEveryCut(t *testing.T) {
	raw := sealedSnapshot(t, envelopeHeader{7, 3}, []byte("mounts and workers"))
	for i := range raw {
		for bit := range 8 {
			spoiled := bytes.Clone(raw)
			spoiled[i] ^= 1 << bit
			if _, _, err := openSnapshot(spoiled); err == nil {
				t.Fatalf("bit %d of byte %d is flipped, and Read reports no error", bit, i)
			}
		}
		if _, _, err := openSnapshot(raw[:i]); err == nil {
			t.Fatalf("truncated after %d of %d bytes, and Read reports no error", i, len(raw))
		}
	}
}

// TestDamagedSnapshotIsNotRestored checks that the state machine receives an
// error where a sound snapshot ends.
func TestDamagedSnapshotIsNotRestored(t *testing.T) {
	old := &journal{commands: []string{"old"}}
	m := &fsm{state: old, fail: func(error) {}}
	var out bytes.Buffer
	if err := writeEnvelope(&out, envelopeHeader{9, 1}, journalSnapshot{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	sound := out.Bytes()
	spoiled := bytes.Clone(sound)
	spoiled[len(spoiled)-1] ^= 1
	if err := m.Restore(io.NopCloser(bytes.NewReader(spoiled))); !errors.Is(err, errDamaged) {
		t.Fatalf("got %v", err)
	}
	if got := old.all(); len(got) != 1 || m.applied.get() != 0 {
		t.Fatalf("state is %q at %d", got, m.applied.get())
	}
	if err := m.Restore(io.NopCloser(iotest.OneByteReader(bytes.NewReader(sound)))); err != nil {
		t.Fatal(err)
	}
	if got := old.all(); len(got) != 2 || m.applied.get() != 9 || m.configuration.Load() != 1 {
		t.Fatalf("state is %q at %d", got, m.applied.get())
	}
}

func FuzzOpenEnvelope(f *testing.F) {
	f.Add(sealedSnapshot(f, envelopeHeader{1, 1}, nil))
	f.Add(sealedSnapshot(f, envelopeHeader{7, 3}, []byte("state")))
	f.Add([]byte("JDSNAP\x00\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		header, state, err := openSnapshot(raw)
		if err != nil {
			return
		}
		if again, back, err := openSnapshot(sealedSnapshot(t, header, state)); err != nil || again != header || !bytes.Equal(back, state) {
			t.Fatalf("%q is not preserved: %v", raw, err)
		}
	})
}
