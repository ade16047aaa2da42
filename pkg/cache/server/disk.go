package server

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

const (
	idFile   = "worker.json"
	viewFile = "view"
	// idFormat is the version of the format of idFile.
	idFormat = 1
)

// identityFile is the content of idFile: the worker's identity.
type identityFile struct {
	Format int `json:"format"`
	// ID is minted with the directory.
	ID string `json:"id"`
	// ClusterID is the worker's cluster; empty until a master has responded.
	ClusterID string `json:"clusterID"`
}

// loadIdentity reads the identity in a data directory, and creates one if there
// is none.
func loadIdentity(dir string) (identityFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return identityFile{}, fmt.Errorf("create data directory: %w", err)
	}
	path := filepath.Join(dir, idFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		minted := identityFile{Format: idFormat, ID: newID()}
		return minted, minted.save(dir)
	}
	if err != nil {
		return identityFile{}, fmt.Errorf("read the worker's id: %w", err)
	}
	var file identityFile
	if err := json.Unmarshal(raw, &file); err != nil || file.ID == "" {
		return identityFile{}, fmt.Errorf("read the worker's id: %s is damaged; remove it to give this worker a new id", path)
	}
	if file.Format != idFormat {
		return identityFile{}, fmt.Errorf("read the worker's id: %s has format %d, this version supports %d", path, file.Format, idFormat)
	}
	return file, nil
}

func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}

func (f identityFile) save(dir string) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write the worker's id: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(dir, idFile), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the worker's id: %w", err)
	}
	return nil
}

// loadView reads the view on disk. It returns nil if there is none.
func loadView(dir string) (*commonv1.ClusterView, error) {
	raw, err := os.ReadFile(filepath.Join(dir, viewFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the view: %w", err)
	}
	view, err := wire.WorkerView.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("read the view: %w", err)
	}
	return view, nil
}

func saveView(dir string, view *commonv1.ClusterView) error {
	raw, err := wire.WorkerView.Encode(view)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, viewFile), raw, 0o600); err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	return nil
}
