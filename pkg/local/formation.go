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

// formationVersion is the version of the file format.
const formationVersion = 1

// Formation records the identity of a cluster, and whether it was formed. It
// outlives the masters' disks.
type Formation struct {
	Version   int    `json:"version"`
	ClusterID string `json:"clusterID"`
	// Formed is true once every master of the plan has voted.
	Formed bool `json:"formed"`
	// Masters counts the masters that may be members of Raft; 0 in records of earlier
	// versions.
	Masters int32 `json:"masters,omitempty"`
	// Network of the addresses in the masters' log: "127.93.12.0/24". It does
	// not change once the cluster is formed.
	Network string `json:"network,omitempty"`
	// Mounts are the paths that this executor has mounted. Of them, those that
	// leave the plan are unmounted; mounts made by the user are not.
	Mounts []string `json:"mounts,omitempty"`
}

// NewFormation returns the record of a new cluster, with a random id.
func NewFormation() (Formation, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return Formation{}, fmt.Errorf("generate a cluster id: %w", err)
	}
	return Formation{Version: formationVersion, ClusterID: hex.EncodeToString(id[:])}, nil
}

// DecodeFormation parses a formation record.
func DecodeFormation(raw []byte) (Formation, error) {
	var f Formation
	if err := json.Unmarshal(raw, &f); err != nil {
		return Formation{}, fmt.Errorf("decode the formation record: %w", err)
	}
	if f.Version != formationVersion {
		return Formation{}, fmt.Errorf("the formation record has version %d, but this program supports version %d", f.Version, formationVersion)
	}
	if f.ClusterID == "" {
		return Formation{}, errors.New("the formation record has no cluster id")
	}
	return f, nil
}

// loadFormation reads the record, or returns a new one if there is none. An
// unreadable record is an error, because a new one could form a second cluster.
func loadFormation(l Layout) (Formation, error) {
	raw, err := os.ReadFile(l.formationFile())
	if errors.Is(err, fs.ErrNotExist) {
		return NewFormation()
	}
	if err != nil {
		return Formation{}, fmt.Errorf("read the formation record: %w", err)
	}
	f, err := DecodeFormation(raw)
	if err != nil {
		return Formation{}, fmt.Errorf("%s: %w (`kubectl jindo local down %s --purge` removes it together with the data)",
			l.formationFile(), err, l.Runtime)
	}
	return f, nil
}

func (f Formation) save(l Layout) error {
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the formation record: %w", err)
	}
	return atomicfile.Write(l.formationFile(), append(raw, '\n'), 0o600)
}
