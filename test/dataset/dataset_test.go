package dataset

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"
)

func TestRangesEqualPartsOfTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := File{Path: rapid.StringN(1, 20, -1).Draw(t, "path"), Size: rapid.Int64Range(1, 5000).Draw(t, "size")}
		whole := f.Content()
		offset := rapid.Int64Range(0, f.Size-1).Draw(t, "offset")
		length := rapid.Int64Range(0, f.Size-offset).Draw(t, "length")
		part := make([]byte, length)
		f.Fill(part, offset)
		if !bytes.Equal(part, whole[offset:offset+length]) {
			t.Fatalf("range %d+%d differs from the whole", offset, length)
		}
		if err := f.Check(part, offset); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCheckFindsEveryWrongByte(t *testing.T) {
	f := File{Path: "a", Size: 1000}
	for i := range 1000 {
		content := f.Content()
		content[i] ^= 1
		if f.Check(content, 0) == nil {
			t.Fatalf("byte %d is wrong and was not found", i)
		}
	}
}

func TestGenerationsDiffer(t *testing.T) {
	one, two := File{Path: "a", Size: 64}, File{Path: "a", Size: 64, Generation: 1}
	if bytes.Equal(one.Content(), two.Content()) {
		t.Fatal("two generations have the same bytes")
	}
}

func TestReaderIsContent(t *testing.T) {
	f := File{Path: "b", Size: 100_003}
	got, err := io.ReadAll(f.Reader())
	if err != nil || !bytes.Equal(got, f.Content()) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
}
