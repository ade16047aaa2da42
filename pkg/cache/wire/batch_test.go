package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func twoObjects() Batch {
	return Batch{Objects: []BatchObject{
		{Mount: "m1", Key: []byte("a\xff\n"), ETag: []byte("\x00x"), Size: 5},
		{Mount: "m1", Key: []byte("b"), ETag: []byte("y"), Size: 1},
	}}
}

// TestBatchRoundTrip checks that a batch and its frames are decoded as they were
// encoded, with keys and tags of any bytes, in any order of frames.
func TestBatchRoundTrip(t *testing.T) {
	want := twoObjects()
	request, err := NewBatchRequest(t.Context(), "worker:1", want)
	if err != nil {
		t.Fatal(err)
	}
	got, failure := ParseBatch(request.Body)
	if failure != nil || len(got.Objects) != 2 || string(got.Objects[0].Key) != "a\xff\n" || string(got.Objects[0].ETag) != "\x00x" {
		t.Fatalf("decoded %+v (%v)", got, failure)
	}
	var body bytes.Buffer
	for _, err := range []error{
		WriteFrame(&body, 1, nil, Invalid(strings.Repeat("long ", 1<<20))),
		WriteFrame(&body, 0, []byte("12345"), nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if i, object, err := want.ReadFrame(&body); i != 1 || object != nil || err != nil {
		t.Errorf("the failure is frame %d, %q (%v)", i, object, err)
	}
	if i, object, err := want.ReadFrame(&body); i != 0 || string(object) != "12345" || err != nil {
		t.Errorf("the object is frame %d, %q (%v)", i, object, err)
	}
	if _, _, err := want.ReadFrame(&body); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v", err)
	}
}

// TestHostileFrames checks that frames that a worker does not send are errors, and
// that none makes the reader allocate what it claims to have.
func TestHostileFrames(t *testing.T) {
	frame := func(index, kind uint32, length uint64, rest string) string {
		b := binary.LittleEndian.AppendUint32(nil, index)
		b = binary.LittleEndian.AppendUint32(b, kind)
		return string(binary.LittleEndian.AppendUint64(b, length)) + rest
	}
	for name, body := range map[string]string{
		"index":         frame(2, 0, 5, "12345"),
		"kind":          frame(0, 2, 5, "12345"),
		"too long":      frame(0, 0, 6, "123456"),
		"too short":     frame(0, 0, 4, "1234"),
		"huge":          frame(0, 0, 1<<62, ""),
		"huge failure":  frame(0, 1, 1<<62, ""),
		"cut head":      frame(0, 0, 5, "12345")[:10],
		"cut object":    frame(0, 0, 5, "123"),
		"cut failure":   frame(0, 1, 5, "123"),
		"object absent": frame(0, 0, 5, ""),
	} {
		if _, object, err := twoObjects().ReadFrame(strings.NewReader(body)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %q, %v", name, object, err)
		}
	}
}
