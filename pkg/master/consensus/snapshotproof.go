package consensus

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

const (
	// sumFile is beside the library's files of a snapshot. It holds the crc32c of
	// the metadata, which the library does not protect, and is written after the
	// snapshot is complete: a snapshot without it is unfinished.
	sumFile     = "meta.crc32c"
	metaFile    = "meta.json"
	stateFile   = "state.bin"
	tmpSuffix   = ".tmp"
	maxMetaFile = 1 << 20
)

// snapshotFile is a directory with a snapshot that was verified.
type snapshotFile struct {
	dir  string
	meta snapshotMeta
}

// snapshotMeta is what the library writes to meta.json.
type snapshotMeta struct {
	raft.SnapshotMeta
	// CRC is the crc64 of the state file.
	CRC []byte
}

// snapshotProof is what the directory of snapshots holds.
type snapshotProof struct {
	// intact holds the verified snapshots, the newest first. Those older than
	// the newest intact one are not read.
	intact []snapshotFile
	// spoiled holds the directories that are not intact snapshots, and why.
	spoiled []*DamageError
	// temporary holds directories that an interrupted write left.
	temporary []string
}

// newest returns the newest intact snapshot. The zero value has the index 0.
func (p *snapshotProof) newest() raft.SnapshotMeta {
	if len(p.intact) == 0 {
		return raft.SnapshotMeta{}
	}
	return p.intact[0].meta.SnapshotMeta
}

// proveSnapshots reads the snapshots. With format 1, they have no checksum of
// their metadata.
func proveSnapshots(dir string, format int) (*snapshotProof, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return &snapshotProof{}, nil
	}
	if err != nil {
		return nil, err
	}
	p := &snapshotProof{}
	var found []snapshotFile
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case !entry.IsDir():
			continue
		case strings.HasSuffix(entry.Name(), tmpSuffix):
			p.temporary = append(p.temporary, path)
			continue
		}
		meta, err := readSnapshotMeta(path, format)
		if err := p.collect(err); err != nil {
			return nil, err
		}
		if err == nil {
			found = append(found, snapshotFile{path, *meta})
		}
	}
	slices.SortFunc(found, func(a, b snapshotFile) int { return newestFirst(a.meta, b.meta) })
	for _, s := range found {
		if len(p.intact) > 0 && format > 1 {
			// An older one is read when it is needed.
			break
		}
		err := verifySnapshot(s.dir, s.meta)
		if err := p.collect(err); err != nil {
			return nil, err
		}
		if err == nil {
			p.intact = append(p.intact, s)
		}
	}
	return p, nil
}

// collect records a DamageError, and returns another error.
func (p *snapshotProof) collect(err error) error {
	var spoiled *DamageError
	if errors.As(err, &spoiled) {
		p.spoiled = append(p.spoiled, spoiled)
		return nil
	}
	return err
}

func newestFirst(a, b snapshotMeta) int {
	return cmp.Or(cmp.Compare(b.Term, a.Term), cmp.Compare(b.Index, a.Index), cmp.Compare(b.ID, a.ID))
}

// readSnapshotMeta reads and verifies the metadata of a snapshot.
func readSnapshotMeta(dir string, format int) (*snapshotMeta, error) {
	raw, err := readLimited(filepath.Join(dir, metaFile), maxMetaFile)
	if err != nil {
		return nil, err
	}
	if format > 1 {
		sum, err := readLimited(filepath.Join(dir, sumFile), 64)
		if err != nil {
			return nil, err
		}
		if string(sum) != metaSum(raw) {
			return nil, damage(filepath.Join(dir, metaFile), "%v", errDamaged)
		}
	}
	var meta snapshotMeta
	if err := json.Unmarshal(raw, &meta); err != nil {
		return nil, damage(filepath.Join(dir, metaFile), "%v", err)
	}
	prefix := fmt.Sprintf("%d-%d-", meta.Term, meta.Index)
	if meta.ID != filepath.Base(dir) || !strings.HasPrefix(meta.ID, prefix) || meta.Version != raft.SnapshotVersionMax || meta.Index == 0 {
		return nil, damage(filepath.Join(dir, metaFile), "it describes snapshot %q at entry %d, term %d, version %d", meta.ID, meta.Index, meta.Term, meta.Version)
	}
	return &meta, nil
}

// verifySnapshot reads the state of a snapshot to its end.
func verifySnapshot(dir string, meta snapshotMeta) error {
	path := filepath.Join(dir, stateFile)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return damage(path, "it is missing")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	// An error of the disk is not damage, whatever the envelope makes of it.
	source := &readErrors{r: file}
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	envelope, err := openEnvelope(io.TeeReader(source, sum))
	if err == nil {
		err = envelope.finish()
	}
	switch {
	case source.err != nil:
		return source.err
	case err != nil:
		return damage(path, "%v", err)
	case envelope.header.index != meta.Index:
		return damage(path, "it ends at entry %d, but its name says %d", envelope.header.index, meta.Index)
	case !bytes.Equal(sum.Sum(nil), meta.CRC):
		return damage(path, "%v", errDamaged)
	}
	return nil
}

// readErrors keeps the error of a read, other than the end of the file.
type readErrors struct {
	r   io.Reader
	err error
}

func (r *readErrors) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// readLimited reads a small file. A missing or larger one is damaged.
func readLimited(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, damage(path, "it is missing")
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(raw)) > limit {
		return nil, damage(path, "it has more than %d bytes", limit)
	}
	return raw, err
}

func metaSum(meta []byte) string { return fmt.Sprintf("%08x\n", crc32.Checksum(meta, castagnoli)) }

// sealSnapshot writes the checksum that makes a snapshot a finished one.
func sealSnapshot(dir string) error {
	raw, err := readLimited(filepath.Join(dir, metaFile), maxMetaFile)
	if err != nil {
		return err
	}
	if sum, err := os.ReadFile(filepath.Join(dir, sumFile)); err == nil && bytes.Equal(sum, []byte(metaSum(raw))) {
		return nil
	}
	return atomicfile.Write(filepath.Join(dir, sumFile), []byte(metaSum(raw)), 0o600)
}
