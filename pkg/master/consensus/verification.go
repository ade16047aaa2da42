package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// verification is the newest result of a comparison of all members that this member
// received. It is beside the member's directory, so that it outlives a replacement of
// the member. It is safe for concurrent use.
type verification struct {
	path string

	mu     sync.Mutex
	newest *masterv1.Verification
}

// verification returns the path of the file.
func (d memberDir) verification() string { return filepath.Join(d.dir, "verification.json") }

// open reads the file. One that cannot be read is an error, and is replaced by the next
// result.
func (v *verification) open(path string) error {
	v.path = path
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	found := &masterv1.Verification{}
	if err == nil {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, found)
	}
	if err != nil {
		return fmt.Errorf("read the last verification: %w", err)
	}
	v.newest = found
	return nil
}

// last returns a copy of the newest result; nil when there is none.
func (v *verification) last() *masterv1.Verification {
	v.mu.Lock()
	defer v.mu.Unlock()
	return proto.CloneOf(v.newest)
}

// record keeps a result, with the time of this call. After an error it is kept until
// the process ends only.
func (v *verification) record(result *masterv1.Verification, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.newest = proto.CloneOf(result)
	v.newest.Time = timestamppb.New(now)
	raw, err := protojson.Marshal(v.newest)
	if err == nil {
		err = atomicfile.Write(v.path, raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the verification: %w", err)
	}
	return nil
}

// RecordVerification keeps the result of a comparison of all members; Status returns
// it, also after a restart.
func (n *Node) RecordVerification(result *masterv1.Verification) error {
	return n.verification.record(result, time.Now())
}
