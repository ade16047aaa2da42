package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/jindo-io/jindo/pkg/rpc/message"
)

// BatchPath is the URL path of a request for several small objects. Its body is a
// Batch, and the body of its response a frame for each object, in any order:
//
//	0  index of the object in the batch, u32 in little endian
//	4  1 if the rest is a Failure in JSON, 0 if it is the whole object, u32
//	8  length of the rest, u64
const BatchPath = "/v1/batch"

// Limits of a batch.
const (
	// MaxBatch is the highest number of objects.
	MaxBatch = 64
	// MaxBatchObject is the size of the largest object, in bytes.
	MaxBatchObject = 256 << 10
	// maxBatchBytes bounds the body of a request: the names of MaxBatch objects.
	maxBatchBytes = 2 << 20
	frameHead     = 16
)

// Batch is a request for several small objects.
type Batch struct {
	Objects []BatchObject `json:"objects"`
}

// BatchObject is one version of an object. Keys and tags are bytes, not text.
type BatchObject struct {
	Mount string `json:"mount"`
	Key   []byte `json:"key"`
	ETag  []byte `json:"etag"`
	Size  int64  `json:"size"`
}

// Request returns the request for all bytes of the object.
func (o BatchObject) Request() Request {
	return Request{Mount: o.Mount, Key: string(o.Key), ETag: string(o.ETag), Size: o.Size, First: 0, Last: o.Size - 1}
}

func (b Batch) check() error {
	if len(b.Objects) == 0 || len(b.Objects) > MaxBatch {
		return fmt.Errorf("a batch of %d objects: must have 1 to %d", len(b.Objects), MaxBatch)
	}
	for _, o := range b.Objects {
		if err := o.Request().check(); err != nil {
			return err
		}
		if o.Size > MaxBatchObject {
			return fmt.Errorf("an object of %d bytes in a batch: must have at most %d", o.Size, MaxBatchObject)
		}
	}
	return nil
}

// NewBatchRequest encodes a Batch to the worker at a host:port address.
func NewBatchRequest(ctx context.Context, address string, b Batch) (*http.Request, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	target := url.URL{Scheme: "https", Host: address, Path: BatchPath}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// It may be sent twice, which net/http assumes of a POST only so.
	r.Header["Idempotency-Key"] = nil
	return r, nil
}

// ParseBatch decodes the body of a request. The Failure, if not nil, is the
// response to send.
func ParseBatch(body io.Reader) (Batch, *Failure) {
	raw, err := io.ReadAll(io.LimitReader(body, maxBatchBytes+1))
	if err != nil || len(raw) > maxBatchBytes {
		return Batch{}, Invalid(fmt.Sprintf("the batch cannot be read, or has more than %d bytes", maxBatchBytes))
	}
	var b Batch
	if err := json.Unmarshal(raw, &b); err != nil {
		return Batch{}, Invalid("the batch is not valid JSON")
	}
	if err := b.check(); err != nil {
		return Batch{}, Invalid(err.Error())
	}
	return b, nil
}

// WriteFrame writes the bytes of an object, or the failure if it is not nil.
func WriteFrame(w io.Writer, index int, object []byte, failure *Failure) error {
	kind := uint32(0)
	if failure != nil {
		sent := *failure
		sent.Message = message.Text(failure.Message)
		var err error
		if object, err = json.Marshal(sent); err != nil {
			return fmt.Errorf("encode failure: %w", err)
		}
		kind = 1
	}
	frame := make([]byte, 0, frameHead)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(index))
	frame = binary.LittleEndian.AppendUint32(frame, kind)
	frame = binary.LittleEndian.AppendUint64(frame, uint64(len(object)))
	if _, err := w.Write(frame); err != nil {
		return err //nolint:wrapcheck // the writer's error
	}
	_, err := w.Write(object)
	return err //nolint:wrapcheck // the writer's error
}

// ReadFrame reads the next frame of the response to a batch. object is nil if the
// worker has reported a failure for it. It returns io.EOF after the last frame.
func (b Batch) ReadFrame(r io.Reader) (index int, object []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err //nolint:wrapcheck // io.EOF is part of the contract
	}
	index = int(binary.LittleEndian.Uint32(head[0:]))
	kind, length := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint64(head[8:])
	switch {
	case index >= len(b.Objects) || kind > 1:
		return 0, nil, errors.New("invalid frame of a batch")
	case kind == 1:
		if length > maxFailureBytes {
			return 0, nil, errors.New("invalid failure in a batch")
		}
		_, err := io.CopyN(io.Discard, r, int64(length))
		return index, nil, unexpected(err)
	case length != uint64(b.Objects[index].Size):
		return 0, nil, fmt.Errorf("object %d of a batch has %d bytes, want %d", index, length, b.Objects[index].Size)
	}
	object = make([]byte, length)
	if _, err := io.ReadFull(r, object); err != nil {
		return 0, nil, unexpected(err)
	}
	return index, object, nil
}

// unexpected returns the error of a frame that ends early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
