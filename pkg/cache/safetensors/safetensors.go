package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Limits of a header.
const (
	// MaxHeader is the length of the longest header that is parsed, in bytes. The
	// format permits 100 MB; headers of files with 2,000 tensors have 250 KB.
	MaxHeader = 1<<20 - prefix
	// MaxTensors is the largest number of tensors.
	MaxTensors = 1 << 15
	// prefix is the length of the number before the header.
	prefix = 8
	// maxDims bounds the dimensions of a tensor.
	maxDims = 64
)

// metadataKey is the key of the header that holds strings instead of a tensor.
const metadataKey = "__metadata__"

// ErrFormat means that a file is not in the format, or not within the limits.
var ErrFormat = errors.New("not a safetensors header")

// HeaderEnd returns the offset of the first byte after the header of a file of size
// bytes that begins with head. It reports false if the file cannot be in the format
// or its header is too long. head may be any part of the beginning: it is not parsed.
func HeaderEnd(head []byte, size int64) (end int64, ok bool) {
	if len(head) <= prefix || head[prefix] != '{' {
		return 0, false
	}
	n := binary.LittleEndian.Uint64(head)
	if n < 2 || n > MaxHeader || int64(n) > size-prefix {
		return 0, false
	}
	return prefix + int64(n), true
}

// tensor is an entry of the header.
type tensor struct {
	Dtype   *string  `json:"dtype"`
	Shape   *[]int64 `json:"shape"`
	Offsets *[]int64 `json:"data_offsets"`
}

// bits are the sizes of an element of the known types. The size of others is not
// checked, because new ones are added.
var bits = map[string]int64{
	"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4,
	"I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
	"I64": 64, "U64": 64, "F64": 64, "C64": 64,
}

// Check parses the header of a file of size bytes, and returns an error that wraps
// ErrFormat unless it is valid. head must contain the whole header; what follows it
// is not read.
func Check(head []byte, size int64) error {
	end, ok := HeaderEnd(head, size)
	if !ok {
		return fmt.Errorf("length or first character: %w", ErrFormat)
	}
	if int64(len(head)) < end {
		return fmt.Errorf("%d of %d bytes are known: %w", len(head), end, ErrFormat)
	}
	tensors, err := parse(head[prefix:end])
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrFormat)
	}
	if err := checkLayout(tensors, size-end); err != nil {
		return fmt.Errorf("%w: %w", err, ErrFormat)
	}
	return nil
}

// span is the place of a tensor in the bytes after the header.
type span struct{ begin, end int64 }

// parse returns the places of the tensors of a header.
func parse(header []byte) ([]span, error) {
	in := json.NewDecoder(bytes.NewReader(header))
	in.DisallowUnknownFields()
	if token, err := in.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("no object: %w", cmp.Or(err, errors.New("another value")))
	}
	var spans []span
	names := map[string]bool{}
	for in.More() {
		token, err := in.Token()
		name, ok := token.(string)
		if err != nil || !ok || names[name] {
			return nil, fmt.Errorf("no name, or one twice: %w", cmp.Or(err, errors.New("unexpected token")))
		}
		names[name] = true
		if name == metadataKey {
			var metadata map[string]string
			if err := in.Decode(&metadata); err != nil {
				return nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		var t tensor
		if err := in.Decode(&t); err != nil {
			return nil, fmt.Errorf("tensor: %w", err)
		}
		s, err := t.span()
		if err != nil {
			return nil, err
		}
		if spans = append(spans, s); len(spans) > MaxTensors {
			return nil, errors.New("too many tensors")
		}
	}
	if _, err := in.Token(); err != nil {
		return nil, fmt.Errorf("end of the object: %w", err)
	}
	// Writers align the tensors with spaces.
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return spans, nil
}

// span checks a tensor on its own.
func (t *tensor) span() (span, error) {
	if t.Dtype == nil || t.Shape == nil || t.Offsets == nil || len(*t.Offsets) != 2 || len(*t.Shape) > maxDims || len(*t.Dtype) > 16 {
		return span{}, errors.New("a tensor lacks its type, its shape or its two offsets")
	}
	s := span{(*t.Offsets)[0], (*t.Offsets)[1]}
	if s.begin < 0 || s.end < s.begin {
		return span{}, errors.New("invalid offsets")
	}
	size, known := bits[*t.Dtype]
	for _, n := range *t.Shape {
		if n < 0 || n > 0 && size > math.MaxInt64/n {
			return span{}, errors.New("invalid shape")
		}
		size *= n
	}
	if known && (size%8 != 0 || size/8 != s.end-s.begin) {
		return span{}, errors.New("the shape differs from the offsets")
	}
	return s, nil
}

// checkLayout checks that tensors fill the rest of a file without gaps and overlaps.
func checkLayout(spans []span, rest int64) error {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end)) })
	at := int64(0)
	for _, s := range spans {
		if s.begin != at {
			return errors.New("a gap or an overlap of tensors")
		}
		at = s.end
	}
	if at != rest || at == 0 {
		return errors.New("the tensors do not fill the file")
	}
	return nil
}
