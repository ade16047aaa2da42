package safetensors

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// real is a header as the Python library writes it: tensors by decreasing alignment,
// metadata first, and spaces at the end so that the tensors are aligned to 8 bytes.
const real = `{"__metadata__":{"format":"pt"},"model.embed_tokens.weight":{"dtype":"BF16","shape":[64,16],"data_offsets":[0,2048]},` +
	`"model.layers.0.input_layernorm.weight":{"dtype":"BF16","shape":[16],"data_offsets":[2048,2080]},` +
	`"model.layers.0.mlp.down_proj.weight":{"dtype":"BF16","shape":[16,32],"data_offsets":[2080,3104]},` +
	`"lm_head.bias":{"dtype":"F32","shape":[],"data_offsets":[3104,3108]},"empty":{"dtype":"I8","shape":[0,4],"data_offsets":[3108,3108]}}   `

// file returns the beginning of a file with a header, and its size.
func file(header string, rest int64) ([]byte, int64) {
	head := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	return head, int64(len(head)) + rest
}

func TestRealHeader(t *testing.T) {
	head, size := file(real, 3108)
	if end, ok := HeaderEnd(head[:16], size); !ok || end != int64(len(head)) {
		t.Errorf("the header ends at %d, %v; want %d", end, ok, len(head))
	}
	if err := Check(append(head, "tensors"...), size); err != nil {
		t.Error(err)
	}
	for _, part := range []int{0, 7, 8, 9, 100, len(head) - 1} {
		if err := Check(head[:part], size); !errors.Is(err, ErrFormat) {
			t.Errorf("a part of %d bytes: error %v", part, err)
		}
	}
	for _, other := range []int64{size - 1, size + 1, int64(len(head)), 0, -1, math.MaxInt64} {
		if err := Check(head, other); !errors.Is(err, ErrFormat) {
			t.Errorf("a file of %d bytes: error %v", other, err)
		}
	}
}

func TestHeaderOfManyTensors(t *testing.T) {
	var b strings.Builder
	const tensors = 5000
	for i := range tensors {
		fmt.Fprintf(&b, `,"model.layers.%d.self_attn.q_proj.weight":{"dtype":"F8_E4M3","shape":[4,256],"data_offsets":[%d,%d]}`, i, i*1024, (i+1)*1024)
	}
	head, size := file("{"+b.String()[1:]+"}", tensors*1024)
	if err := Check(head, size); err != nil {
		t.Error(err)
	}
}

// hostile are headers of a file with 8 bytes of tensors that must be refused.
var hostile = map[string]string{
	"no JSON":               `{tensors}`,
	"empty":                 `{}`,
	"array":                 `[]`,
	"not closed":            `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}`,
	"second value":          `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}}{}`,
	"bytes after it":        `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}}x`,
	"same name":             `{"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"I8","shape":[4],"data_offsets":[4,8]}}`,
	"gap":                   `{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[4],"data_offsets":[4,8]}}`,
	"overlap":               `{"a":{"dtype":"I8","shape":[6],"data_offsets":[0,6]},"b":{"dtype":"I8","shape":[4],"data_offsets":[4,8]}}`,
	"beyond the end":        `{"a":{"dtype":"I8","shape":[9],"data_offsets":[0,9]}}`,
	"negative":              `{"a":{"dtype":"I8","shape":[16],"data_offsets":[-8,8]}}`,
	"backwards":             `{"a":{"dtype":"I8","shape":[8],"data_offsets":[8,0]}}`,
	"one offset":            `{"a":{"dtype":"I8","shape":[8],"data_offsets":[8]}}`,
	"three offsets":         `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,4,8]}}`,
	"fraction":              `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8.5]}}`,
	"too large a number":    `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,18446744073709551624]}}`,
	"overflowing shape":     `{"a":{"dtype":"I64","shape":[4294967296,4294967297],"data_offsets":[0,8]}}`,
	"overflow of unknown":   `{"a":{"dtype":"X","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}`,
	"other shape":           `{"a":{"dtype":"I16","shape":[8],"data_offsets":[0,8]}}`,
	"half a byte":           `{"a":{"dtype":"F4","shape":[15],"data_offsets":[0,8]}}`,
	"null":                  `{"a":null}`,
	"no shape":              `{"a":{"dtype":"I8","data_offsets":[0,8]}}`,
	"unknown field":         `{"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8],"x":1}}`,
	"metadata of numbers":   `{"__metadata__":{"a":1},"a":{"dtype":"I8","shape":[8],"data_offsets":[0,8]}}`,
	"only metadata":         `{"__metadata__":{"a":"b"}}`,
	"nested":                `{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	"too many dimensions":   `{"a":{"dtype":"I8","shape":[` + strings.Repeat("1,", 100) + `8],"data_offsets":[0,8]}}`,
	"type that is too long": `{"a":{"dtype":"` + strings.Repeat("X", 100) + `","shape":[8],"data_offsets":[0,8]}}`,
}

func TestHostileHeaders(t *testing.T) {
	for name, header := range hostile {
		head, size := file(header, 8)
		if err := Check(head, size); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, n := range []uint64{0, 1, MaxHeader + 1, 1 << 30, 1 << 62, 1 << 63, math.MaxUint64, math.MaxUint64 - 7} {
		head := append(binary.LittleEndian.AppendUint64(nil, n), real...)
		if _, ok := HeaderEnd(head, 1<<40); ok {
			t.Errorf("a header of %d bytes was accepted", n)
		}
	}
}

func FuzzCheck(f *testing.F) {
	head, size := file(real, 3108)
	f.Add(head, size)
	for _, header := range hostile {
		if len(header) < 1000 {
			head, size := file(header, 8)
			f.Add(head, size)
		}
	}
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		if err := Check(head, size); err == nil {
			if end, ok := HeaderEnd(head, size); !ok || end >= size {
				t.Errorf("a header that ends at %d of %d bytes was accepted", end, size)
			}
		} else if !errors.Is(err, ErrFormat) {
			t.Errorf("error %v does not wrap ErrFormat", err)
		}
	})
}
