package consensus

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/master/consensus/boltfile"
)

const (
	// logSlack is how many bytes of the log's file beyond its pages in use are
	// allocated at least. An entry without a command writes a few pages, most of
	// which the next one uses again.
	logSlack = 512 << 10
	// leafEntries is the number of entries up to which a page run of the log is
	// not split, however large they are. The next entry writes the run again.
	leafEntries = 4
)

// logRoom allocates blocks of the log's file before they are written, because
// bbolt extends its file without allocating blocks.
//
// Invariant: a command is appended only when the blocks that it may use, and
// those of the entries and values without a command that follow, are allocated.
// So a start, an election and a change of the configuration succeed on a file
// system that others filled to the last byte. Where the file system cannot
// allocate (it then has no such guarantee to give), appends are tried.
type logRoom struct {
	path string

	mu sync.Mutex
	// file is the log, opened a second time. bbolt's lock belongs to its own
	// opening of the file.
	file *os.File
	// allocated is up to where the file has blocks, in bytes.
	allocated int64
	// recent are the sizes of the last entries, in bytes.
	recent [leafEntries]int64
	// unsupported is set when the file system cannot allocate.
	unsupported bool
}

// openLogRoom opens the room of a log whose last entries are read from a store,
// and allocates it if the file system has the blocks.
func openLogRoom(path string, store raft.LogStore) (*logRoom, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	r := &logRoom{path: path, file: file}
	last, err := store.LastIndex()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read last index: %w", err), file.Close())
	}
	for index := max(last, leafEntries) - leafEntries + 1; index <= last; index++ {
		var l raft.Log
		if err := store.GetLog(index, &l); err == nil {
			r.recent[index%leafEntries] = entrySize(&l)
		}
	}
	_ = r.ensure(nil)
	return r, nil
}

// entrySize is what an entry takes in the log, in bytes.
func entrySize(l *raft.Log) int64 { return int64(len(l.Data)+len(l.Extensions)) + entryBytes }

// ensure allocates the blocks for entries that are about to be appended, and for
// entries without a command after them. An error means that the file system does
// not have them.
func (r *logRoom) ensure(logs []*raft.Log) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unsupported || r.file == nil {
		return nil
	}
	added, run := int64(0), int64(0)
	for _, l := range logs {
		added += entrySize(l)
	}
	for _, size := range r.recent {
		run += size
	}
	used, err := boltfile.Used(r.file)
	if err != nil {
		// A commit of another goroutine is being written, or the file cannot be
		// read, which the next read of the log reports. The pages in use end before
		// what was allocated for them.
		used = r.allocated
	}
	// The entries are written with the last run of pages before its pages are free, and
	// both again with the next entry.
	end := used + 3*added + 2*(run+added) + logSlack
	if end > r.allocated {
		if err := allocateBeyond(r.file, used, end-used); errors.Is(err, errors.ErrUnsupported) {
			r.unsupported = true
		} else if err != nil {
			return fmt.Errorf("allocate %d bytes of %s: %w", end-used, r.path, err)
		}
		r.allocated = end
	}
	return nil
}

// appended records the sizes of entries that were appended.
func (r *logRoom) appended(logs []*raft.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range logs {
		r.recent[l.Index%leafEntries] = entrySize(l)
	}
}

// close closes the file. A nil logRoom is closed.
func (r *logRoom) close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	file := r.file
	r.file = nil
	if file == nil {
		return nil
	}
	return file.Close()
}
