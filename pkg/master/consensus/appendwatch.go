package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// appendWatch notifies proposers when their entries are in the log of this member.
// An entry in one log is not committed yet: nothing may be acknowledged because of
// it. It is safe for concurrent use.
type appendWatch struct {
	raft.LogStore

	mu sync.Mutex
	// waiting holds a function for each entry that is watched, by the address of
	// its data: the library stores the slice that was proposed.
	waiting map[*byte]func()
}

func newAppendWatch(store raft.LogStore) *appendWatch {
	return &appendWatch{LogStore: store, waiting: map[*byte]func(){}}
}

// watch makes appended be called once: when the entry with this data is in the log,
// or when the returned function is called, whichever is first. command must not be
// empty.
func (w *appendWatch) watch(command []byte, appended func()) (end func()) {
	appended = sync.OnceFunc(appended)
	at := &command[0]
	w.mu.Lock()
	w.waiting[at] = appended
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		delete(w.waiting, at)
		w.mu.Unlock()
		appended()
	}
}

// StoreLog implements raft.LogStore.
func (w *appendWatch) StoreLog(l *raft.Log) error { return w.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (w *appendWatch) StoreLogs(logs []*raft.Log) error {
	if err := w.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	for _, l := range logs {
		if appended := w.of(l); appended != nil {
			appended()
		}
	}
	return nil
}

func (w *appendWatch) of(l *raft.Log) func() {
	if len(l.Data) == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting[&l.Data[0]]
}
