package local

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// formationVersion of the file's format.
const formationVersion = 1

// Formation is what outlives the masters' disks: which cluster this is and
// whether it was formed already.
type Formation struct {
	Version   int    `json:"version"`
	ClusterID string `json:"clusterID"`
	// Formed is true once every master of the plan voted.
	Formed bool `json:"formed"`
	// Network the masters' log knows: "127.93.12.0/24". It is bound to the
	// runtime once formed.
	Network string `json:"network,omitempty"`
	// Mounts are the paths this executor has mounted, so that one that leaves
	// the plan is unmounted, and one that somebody mounted by hand is not.
	Mounts []string `json:"mounts,omitempty"`
}

// NewFormation mints the identity of a cluster that is not formed yet.
func NewFormation() (Formation, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return Formation{}, fmt.Errorf("drawing a cluster id: %w", err)
	}
	return Formation{Version: formationVersion, ClusterID: hex.EncodeToString(id[:])}, nil
}

// DecodeFormation reads a formation record.
func DecodeFormation(raw []byte) (Formation, error) {
	var f Formation
	if err := json.Unmarshal(raw, &f); err != nil {
		return Formation{}, fmt.Errorf("decoding the formation record: %w", err)
	}
	if f.Version != formationVersion {
		return Formation{}, fmt.Errorf("the formation record has version %d, this build reads version %d", f.Version, formationVersion)
	}
	if f.ClusterID == "" {
		return Formation{}, errors.New("the formation record has no cluster id")
	}
	return f, nil
}

// loadFormation reads the record, or mints one when there is none. One that is
// there and cannot be read is an error: guessing could form a second cluster.
func loadFormation(l Layout) (Formation, error) {
	raw, err := os.ReadFile(l.formationFile())
	if errors.Is(err, fs.ErrNotExist) {
		return NewFormation()
	}
	if err != nil {
		return Formation{}, fmt.Errorf("reading the formation record: %w", err)
	}
	f, err := DecodeFormation(raw)
	if err != nil {
		return Formation{}, fmt.Errorf("%s: %w (`kubectl jindo local down %s --purge` starts anew, without the data)",
			l.formationFile(), err, l.Runtime)
	}
	return f, nil
}

func (f Formation) save(l Layout) error {
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the formation record: %w", err)
	}
	return atomicfile.Write(l.formationFile(), append(raw, '\n'), 0o600)
}
