package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// ViewFormat is the format of a file with a cluster view: the magic string,
// the crc32c of the message in little endian, and the protobuf message. The
// value is the magic string, which holds the version of the format.
type ViewFormat string

// The formats of the files.
const (
	// ClientView is the format of the file of a client.
	ClientView ViewFormat = "jindo client view 1\n"
	// WorkerView is the format of the file in a worker's data directory.
	WorkerView ViewFormat = "JINDOVW1"
)

// maxViewBytes bounds a file that is decoded.
const maxViewBytes = 64 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns the content of a file with the view.
func (f ViewFormat) Encode(view *commonv1.ClusterView) ([]byte, error) {
	body, err := proto.Marshal(view)
	if err != nil {
		return nil, fmt.Errorf("encode view: %w", err)
	}
	raw := binary.LittleEndian.AppendUint32([]byte(f), crc32.Checksum(body, castagnoli))
	return append(raw, body...), nil
}

// Decode returns the view in the content of a file, and an error if the file is
// damaged or has another format.
func (f ViewFormat) Decode(raw []byte) (*commonv1.ClusterView, error) {
	head := len(f) + 4
	if len(raw) < head || len(raw) > maxViewBytes || string(raw[:len(f)]) != string(f) {
		return nil, errors.New("decode view: the file does not have the expected format")
	}
	body := raw[head:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(raw[len(f):]) {
		return nil, errors.New("decode view: checksum mismatch")
	}
	view := &commonv1.ClusterView{}
	if err := proto.Unmarshal(body, view); err != nil {
		return nil, fmt.Errorf("decode view: %w", err)
	}
	return view, nil
}
