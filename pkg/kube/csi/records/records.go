// Package records is what the node plugin knows of the volumes it published, on
// the node's disk: a plugin that starts again knows all that the one before did.
// No secret is in it.
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
)

// Runtime is whose volume it is.
type Runtime struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is what people read.
func (r Runtime) String() string { return r.Namespace + "/" + r.Name }

// Dir is a name for the runtime's directory: neither part can have an underscore.
func (r Runtime) Dir() string { return r.Namespace + "_" + r.Name }

// RuntimeOfDir undoes Dir.
func RuntimeOfDir(name string) (Runtime, bool) {
	namespace, runtime, ok := strings.Cut(name, "_")
	return Runtime{namespace, runtime}, ok && namespace != "" && runtime != ""
}

// Pod that uses a volume.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Volume is one published target.
type Volume struct {
	ID     string `json:"id"`
	Target string `json:"target"`
	// Role of an inline volume; empty for a volume with the runtime's files.
	Role    string  `json:"role,omitempty"`
	Runtime Runtime `json:"runtime"`
	Pod     Pod     `json:"pod"`
	// Sidecar says that the pod serves this volume itself, at a mount of its own.
	Sidecar bool `json:"sidecar,omitempty"`
	// Handles of a sidecar's inline volume, with commas: the volumes that it
	// serves.
	Handles string `json:"handles,omitempty"`
	// ReadOnly, SubPath and CleanPolicy are of volumes with files.
	ReadOnly    bool   `json:"readOnly,omitempty"`
	SubPath     string `json:"subPath,omitempty"`
	CleanPolicy string `json:"cleanPolicy,omitempty"`
	// Since orders volumes of one role.
	Since time.Time `json:"since"`
}

// Shared says that the volume shows the runtime's one mount on the node.
func (v Volume) Shared() bool { return v.Role == "" && !v.Sidecar }

// Same says whether two records are of one publication, whenever it was first
// asked for.
func (v Volume) Same(other Volume) bool {
	v.Since = other.Since
	return v == other
}

// Store holds the records of one node. Safe for concurrent use.
type Store struct {
	dir string

	mu      sync.Mutex
	volumes map[string]Volume // by target
}

// Open reads the records in dir. One that is damaged is put aside, so that a
// disk's fault in one does not keep all others from being served.
func Open(dir string, logger *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of records: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing records: %w", err)
	}
	s := &Store{dir: dir, volumes: map[string]Volume{}}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a record: %w", err)
		}
		var v Volume
		if err := json.Unmarshal(raw, &v); err != nil || v.Target == "" {
			logger.Error("a record is damaged and put aside; the kubelet's next call for its volume makes it again", "file", file, "error", err)
			if err := os.Rename(file, file+".damaged"); err != nil {
				return nil, fmt.Errorf("putting a damaged record aside: %w", err)
			}
			continue
		}
		s.volumes[v.Target] = v
	}
	return s, nil
}

// Get the record of a target.
func (s *Store) Get(target string) (Volume, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.volumes[target]
	return v, ok
}

// Put a record on disk.
func (s *Store) Put(v Volume) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the record of %s: %w", v.Target, err)
	}
	if err := WriteFile(s.file(v.Target), raw, 0o600); err != nil {
		return err
	}
	s.volumes[v.Target] = v
	return nil
}

// Delete the record of a target.
func (s *Store) Delete(target string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(s.file(target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the record of %s: %w", target, err)
	}
	delete(s.volumes, target)
	return nil
}

// All records, the oldest first.
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

// Of are the records of a runtime, the oldest first.
func (s *Store) Of(r Runtime) []Volume {
	return slices.DeleteFunc(s.All(), func(v Volume) bool { return v.Runtime != r })
}

// OfPod are the records of a pod, the oldest first.
func (s *Store) OfPod(uid string) []Volume {
	return slices.DeleteFunc(s.All(), func(v Volume) bool { return v.Pod.UID != uid })
}

func (s *Store) file(target string) string {
	sum := sha256.Sum256([]byte(target))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+".json")
}

// WriteFile replaces a file so that readers see the old bytes or the new ones.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
