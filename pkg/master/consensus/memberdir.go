package consensus

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

const (
	asidePrefix = "aside-"
	// asideKept is the number of directories with that prefix that are kept, the
	// newest.
	asideKept = 3
)

// provenDir is a member's directory that was proved to hold everything that the
// member acknowledged.
type provenDir struct {
	identity identity
	// snapshot is the one to start from; its index is 0 for none.
	snapshot raft.SnapshotMeta
	// spoiled is the index up to which the log has damaged entries, which the
	// snapshot covers; 0 for none.
	spoiled uint64
	// redo are entries to write to the log, and values to write beside it, which
	// the tail record has and they do not.
	redo   []*raft.Log
	values map[string][]byte
	// repaired describes the damage that was found and is covered.
	repaired []*DamageError
}

// open proves the directory and prepares it for use, or creates a new one on an
// empty disk. After a DamageError the directory is unchanged.
func (d memberDir) open(name, clusterID string) (provenDir, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return provenDir{}, fmt.Errorf("create data directory: %w", err)
	}
	used, err := d.used()
	if err != nil {
		return provenDir{}, fmt.Errorf("read member directory: %w", err)
	}
	if !used {
		return d.create(name, clusterID, "")
	}
	found, err := d.readIdentity(name, clusterID)
	if err != nil {
		return provenDir{}, err
	}
	if retired, err := exists(d.retired()); err != nil {
		return provenDir{}, fmt.Errorf("read member directory: %w", err)
	} else if retired {
		if err := d.setAside(found.ID, "this member was replaced while it was unreachable"); err != nil {
			return provenDir{}, err
		}
		return d.create(name, clusterID, "")
	}
	return d.prove(found)
}

// used reports whether the member directory exists and is not empty.
func (d memberDir) used() (bool, error) {
	entries, err := os.ReadDir(d.member())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// inUse reports whether the directory holds a member whose id may be used.
func (d memberDir) inUse() (bool, error) {
	used, err := d.used()
	if err != nil || !used {
		return false, err
	}
	retired, err := exists(d.retired())
	return !retired, err
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// prove verifies that the files of a member reach as far as its tail record.
func (d memberDir) prove(found identity) (provenDir, error) {
	var record tailRecord
	var err error
	if found.Format > firstFormat {
		if record, err = readTail(d.tail(), found.ID); err != nil {
			return provenDir{}, d.failed(found, err)
		}
	}
	if mutantIgnoreTail {
		record = tailRecord{}
	}
	files, err := proveSnapshots(filepath.Join(d.snapshots(), "snapshots"), found.Format)
	if err != nil {
		return provenDir{}, d.failed(found, err)
	}
	entries, err := proveLog(d.log(), record, files.newest().Index)
	if err != nil {
		return provenDir{}, d.failed(found, err)
	}
	values := entries.mend()
	if err := covers(found.Format, entries, files); err != nil {
		return provenDir{}, d.failed(found, err)
	}
	proven := provenDir{
		identity: found, snapshot: files.newest(), spoiled: entries.spoiled, redo: entries.redo, values: values,
		repaired: append(files.spoiled, entries.repaired...),
	}
	if entries.spoiled > 0 {
		proven.repaired = append(proven.repaired, damage(d.log(), "%s", entries.reason))
	}
	return proven, d.prepare(found, entries, files)
}

// failed adds the member to a DamageError, and a text to other errors.
func (d memberDir) failed(found identity, err error) error {
	var spoiled *DamageError
	if errors.As(err, &spoiled) {
		spoiled.member = found.ID
		return spoiled
	}
	return fmt.Errorf("verify member directory: %w", err)
}

// covers returns a DamageError unless the newest intact snapshot and the log
// after it reach as far as the record, and the values beside the log are not
// older than it. Without a record, of format 1, a file with only one valid meta
// page proves nothing.
func covers(format int, log *logProof, files *snapshotProof) error {
	if format == firstFormat && !mutantOneMeta {
		if log.metas < 2 {
			return damage(log.path, "one of its two meta pages is invalid, and nothing shows that no transaction is lost")
		}
		if len(log.repaired) > 0 {
			return log.repaired[0]
		}
	}
	if log.conflict > 0 {
		return damage(log.path, "entry %d is not the one that this member acknowledged", log.conflict)
	}
	snapshot, record := files.newest(), log.record
	end, err := log.reaches(snapshot.Index)
	if err != nil {
		return withSnapshots(err, files)
	}
	switch {
	case end < record.covered():
		return withSnapshots(damage(log.path, "it ends at entry %d, but this member acknowledged entries up to %d", end, record.covered()), files)
	case record.last > snapshot.Index && !log.recorded:
		return damage(log.path, "entry %d is not the one of term %d that this member acknowledged", record.last, record.lastTerm)
	case snapshot.Index == record.snapshot && snapshot.Term != record.snapshotTerm:
		return damage(log.path, "the snapshot at entry %d is of term %d, not %d", snapshot.Index, snapshot.Term, record.snapshotTerm)
	}
	return log.checkValues(snapshot.Term)
}

// withSnapshots adds the snapshots that would have covered the loss.
func withSnapshots(err error, files *snapshotProof) error {
	var spoiled *DamageError
	if errors.As(err, &spoiled) {
		for _, s := range files.spoiled {
			spoiled.What += fmt.Sprintf("; %s is damaged, too: %s", s.Path, s.What)
		}
	}
	return err
}

// prepare converts a directory of format 1, and moves away what is not an intact
// snapshot, so that the library sees only intact ones.
func (d memberDir) prepare(found identity, log *logProof, files *snapshotProof) error {
	for _, path := range files.temporary {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove unfinished snapshot: %w", err)
		}
	}
	for _, s := range files.spoiled {
		if err := d.moveAside(filepath.Dir(s.Path), asidePrefix+"snapshot-"+filepath.Base(filepath.Dir(s.Path)), s.Error()); err != nil {
			return err
		}
	}
	if found.Format > firstFormat {
		return nil
	}
	for _, s := range files.intact {
		if err := sealSnapshot(s.dir); err != nil {
			return err
		}
	}
	record := tailRecord{last: log.last, lastTerm: log.lastTerm, lastSum: log.lastSum, snapshot: files.newest().Index, snapshotTerm: files.newest().Term}
	for _, key := range [][]byte{keyTerm, keyVoteTerm, keyCandidate} {
		if value, ok := log.values[string(key)]; ok {
			record.setValue(key, value)
		}
	}
	if log.spoiled == log.last {
		record.last, record.lastTerm, record.lastSum = 0, 0, 0
	}
	if err := createTail(d.tail(), found.ID, record); err != nil {
		return err
	}
	return d.writeIdentity(d.identity(), found)
}

// create prepares the directory of a new member aside and renames it into place,
// so that a member's directory is complete whenever it exists. An empty id is
// generated.
func (d memberDir) create(name, clusterID, id string) (provenDir, error) {
	if id == "" {
		generated, err := newMemberID(name)
		if err != nil {
			return provenDir{}, err
		}
		id = generated
	}
	created := identity{Format: identityFormat, ID: id, Name: name, ClusterID: clusterID}
	if err := created.check(name, clusterID); err != nil {
		return provenDir{}, err
	}
	if err := d.prepareNew(created, tailRecord{}, nil); err != nil {
		return provenDir{}, fmt.Errorf("create member directory: %w", err)
	}
	// An older program may have left an empty directory.
	if err := os.Remove(d.member()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return provenDir{}, fmt.Errorf("create member directory: %w", err)
	}
	if err := os.Rename(d.unfinished(), d.member()); err != nil {
		return provenDir{}, fmt.Errorf("create member directory: %w", err)
	}
	return provenDir{identity: created}, atomicfile.SyncDir(d.dir)
}

// prepareNew creates the directory of a new member aside. fill adds to it what the
// record says that it holds; nil adds nothing.
func (d memberDir) prepareNew(created identity, record tailRecord, fill func(dir string, log disk) error) error {
	dir := d.unfinished()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	store, err := openDisk(filepath.Join(dir, filepath.Base(d.log())))
	if err != nil {
		return err
	}
	if fill != nil {
		err = fill(dir, store)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	if err := createTail(filepath.Join(dir, filepath.Base(d.tail())), created.ID, record); err != nil {
		return err
	}
	return d.writeIdentity(filepath.Join(dir, filepath.Base(d.identity())), created)
}

// setAside moves a member's directory away and keeps it for inspection. Its id is
// not used again.
func (d memberDir) setAside(id, why string) error {
	return d.moveAside(d.member(), asideName(id), why)
}

// asideName returns the name of the directory of a member that was moved away.
func asideName(id string) string {
	if id == "" || strings.ContainsAny(id, "/\x00") || len(id) > maxName {
		id = "unknown"
	}
	return asidePrefix + id
}

// moveAside renames a directory to a name that is free, records why, and removes
// the oldest ones that were moved away before.
func (d memberDir) moveAside(from, name, why string) error {
	if err := d.pruneAside(asideKept - 1); err != nil {
		return err
	}
	to := filepath.Join(d.dir, name)
	for i := 2; ; i++ {
		taken, err := exists(to)
		if err != nil {
			return fmt.Errorf("set %s aside: %w", from, err)
		}
		if !taken {
			break
		}
		to = filepath.Join(d.dir, fmt.Sprintf("%s-%d", name, i))
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("set %s aside: %w", from, err)
	}
	// Best effort: the time orders the directories, and the text is for people.
	now := time.Now()
	_ = os.WriteFile(filepath.Join(to, "why.txt"), []byte(now.UTC().Format(time.RFC3339)+" "+why+"\n"), 0o600)
	_ = os.Chtimes(to, now, now)
	return errors.Join(atomicfile.SyncDir(filepath.Dir(from)), atomicfile.SyncDir(d.dir))
}

// pruneAside removes the oldest directories that were moved away, down to a
// number.
func (d memberDir) pruneAside(keep int) error {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("list directories set aside: %w", err)
	}
	var found []string
	age := map[string]time.Time{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.HasPrefix(entry.Name(), asidePrefix) {
			continue
		}
		path := filepath.Join(d.dir, entry.Name())
		found, age[path] = append(found, path), info.ModTime()
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(age[a].Compare(age[b]), cmp.Compare(a, b)) })
	for len(found) > keep {
		if err := os.RemoveAll(found[0]); err != nil {
			return fmt.Errorf("remove directory set aside: %w", err)
		}
		found = found[1:]
	}
	return nil
}
