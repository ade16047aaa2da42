// Package records stores the node plugin's records of published volumes on the
// node's disk, so that a restarted plugin knows them. Records contain no secrets.
package records

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// Runtime identifies the JindoRuntime of a volume.
type Runtime struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns NAMESPACE/NAME.
func (r Runtime) String() string { return r.Namespace + "/" + r.Name }

// Dir returns the name of the runtime's directory, NAMESPACE_NAME. It is
// unambiguous because neither part can contain an underscore.
func (r Runtime) Dir() string { return r.Namespace + "_" + r.Name }

// RuntimeOfDir parses a name returned by Dir.
func RuntimeOfDir(name string) (Runtime, bool) {
	namespace, runtime, ok := strings.Cut(name, "_")
	return Runtime{namespace, runtime}, ok && namespace != "" && runtime != ""
}

// Pod identifies a pod that uses a volume.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Volume is the record of one published target.
type Volume struct {
	ID     string `json:"id"`
	Target string `json:"target"`
	// Role is the role of an inline volume; empty for a dataset volume.
	Role    string  `json:"role,omitempty"`
	Runtime Runtime `json:"runtime"`
	Pod     Pod     `json:"pod"`
	// Sidecar reports whether the pod's own FUSE server serves this volume, at a
	// mount of its own.
	Sidecar bool `json:"sidecar,omitempty"`
	// Handles are the handles of the volumes that a sidecar serves, separated by
	// commas. Set for the sidecar's inline volume.
	Handles string `json:"handles,omitempty"`
	// ReadOnly, SubPath and CleanPolicy are set for dataset volumes.
	ReadOnly    bool   `json:"readOnly,omitempty"`
	SubPath     string `json:"subPath,omitempty"`
	CleanPolicy string `json:"cleanPolicy,omitempty"`
	// NodeLabel is the label of nodes of a dataset volume that attracts the runtime's
	// FUSE server, if it is not the one that the runtime's namespace and name give.
	NodeLabel string `json:"nodeLabel,omitempty"`
	// Since is the time of the first publish request. It orders the volumes of one
	// role.
	Since time.Time `json:"since"`
}

// Shared reports whether the volume is a bind mount of the runtime's shared mount
// on the node.
func (v Volume) Shared() bool { return v.Role == "" && !v.Sidecar }

// Same reports whether two records are equal except for Since.
func (v Volume) Same(other Volume) bool {
	v.Since = other.Since
	return v == other
}

// Store holds the records of one node. It is safe for concurrent use.
type Store struct {
	dir string

	mu      sync.Mutex
	volumes map[string]Volume // by target
}

// Open reads the records in dir, which it creates if necessary. It renames a
// damaged record to *.damaged, so that the other records remain usable.
func Open(dir string, logger *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create record directory: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	s := &Store{dir: dir, volumes: map[string]Volume{}}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		var v Volume
		if err := json.Unmarshal(raw, &v); err != nil || v.Target == "" {
			logger.Error("damaged record renamed; the kubelet's next publish call creates it again", "file", file, "error", err)
			if err := os.Rename(file, file+".damaged"); err != nil {
				return nil, fmt.Errorf("rename damaged record: %w", err)
			}
			continue
		}
		s.volumes[v.Target] = v
	}
	return s, nil
}

// Get returns the record of a target.
func (s *Store) Get(target string) (Volume, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.volumes[target]
	return v, ok
}

// Put writes a record to disk.
func (s *Store) Put(v Volume) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record of %s: %w", v.Target, err)
	}
	if err := atomicfile.Write(s.file(v.Target), raw, 0o600); err != nil {
		return err
	}
	s.volumes[v.Target] = v
	return nil
}

// Delete deletes the record of a target, if there is one.
func (s *Store) Delete(target string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(s.file(target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove record of %s: %w", target, err)
	}
	delete(s.volumes, target)
	return nil
}

// All returns all records, oldest first.
func (s *Store) All() []Volume {
	s.mu.Lock()
	defer s.mu.Unlock()
	volumes := make([]Volume, 0, len(s.volumes))
	for _, v := range s.volumes {
		volumes = append(volumes, v)
	}
	slices.SortFunc(volumes, func(a, b Volume) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Target, b.Target)
	})
	return volumes
}

// Of returns the records of a runtime, oldest first.
func (s *Store) Of(r Runtime) []Volume {
	return slices.DeleteFunc(s.All(), func(v Volume) bool { return v.Runtime != r })
}

// OfPod returns the records of a pod, oldest first.
func (s *Store) OfPod(uid string) []Volume {
	return slices.DeleteFunc(s.All(), func(v Volume) bool { return v.Pod.UID != uid })
}

func (s *Store) file(target string) string {
	sum := sha256.Sum256([]byte(target))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+".json")
}
