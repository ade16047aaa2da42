//go:build linux

package fusefs

import (
	"encoding/binary"
	"strings"

	"github.com/jindo-io/jindo/pkg/mount/reader"
)

// Encodings of a string: its bytes, or two hexadecimal digits a byte, as most
// entity tags and ids of mounts are.
const (
	encodingRaw = iota
	encodingLower
	encodingUpper
)

// appendPacked appends a string of arbitrary bytes.
func appendPacked(b []byte, s string) []byte {
	for _, encoding := range []int{encodingLower, encodingUpper} {
		if isHex(s, encoding) {
			b = binary.AppendUvarint(b, uint64(len(s)/2)<<2|uint64(encoding))
			for i := 0; i < len(s); i += 2 {
				b = append(b, digit(s[i])<<4|digit(s[i+1]))
			}
			return b
		}
	}
	return append(binary.AppendUvarint(b, uint64(len(s))<<2), s...)
}

func isHex(s string, encoding int) bool {
	if len(s) == 0 || len(s)%2 != 0 {
		return false
	}
	first := byte('a')
	if encoding == encodingUpper {
		first = 'A'
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < first || c > first+5) {
			return false
		}
	}
	return true
}

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&7 + 9
}

// packed decodes a string of appendPacked.
func (d *decoder) packed() string {
	v := d.uint()
	n, digits := v>>2, ""
	switch v & 3 {
	case encodingRaw:
	case encodingLower:
		digits = "0123456789abcdef"
	case encodingUpper:
		digits = "0123456789ABCDEF"
	default:
		d.fail(errDamaged)
	}
	if n > uint64(len(d.b)) {
		d.fail(errDamaged)
		return ""
	}
	raw := d.b[:n]
	d.b = d.b[n:]
	if digits == "" {
		return string(raw)
	}
	var s strings.Builder
	s.Grow(int(2 * n))
	for _, c := range raw {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// appendVersioned appends a path and, of a file, the version. A key that ends
// like the path, as most do, is stored without that part.
func appendVersioned(b []byte, path string, dir bool, v reader.Version) []byte {
	b = appendPacked(b, path)
	if dir {
		return b
	}
	b = appendPacked(appendPacked(b, v.Mount), v.ETag)
	shared := 0
	for shared < min(len(path), len(v.Key)) && path[len(path)-1-shared] == v.Key[len(v.Key)-1-shared] {
		shared++
	}
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendPacked(b, v.Key[:len(v.Key)-shared])
	return binary.AppendVarint(b, v.Size)
}

func (d *decoder) versioned(dir bool) (path string, v reader.Version) {
	path = d.packed()
	if dir {
		return path, v
	}
	v.Mount, v.ETag = d.packed(), d.packed()
	shared := d.uint()
	if shared > uint64(len(path)) {
		d.fail(errDamaged)
		return "", reader.Version{}
	}
	v.Key = path[uint64(len(path))-shared:]
	if head := d.packed(); head != "" {
		v.Key = head + v.Key
	}
	v.Size = d.int()
	return path, v
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder decodes the values of a payload. After the first error it returns zero
// values.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errDamaged)
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errDamaged)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errDamaged)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail(errDamaged)
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
