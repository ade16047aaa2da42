package server

import (
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/rpc/message"
	"github.com/jindo-io/jindo/pkg/rpc/workerv1"
)

const (
	// mountStateAge is how long the state of a mount is kept. A server reports every
	// few seconds, to one worker after another.
	mountStateAge = 2 * time.Minute
	// maxMountStates bounds the states, and maxOwnMountStates those from one
	// certificate: the servers of a DaemonSet share theirs.
	maxMountStates    = 8192
	maxOwnMountStates = 4096
	// maxMountID and maxMountReason bound the strings of a state, in bytes.
	maxMountID, maxMountReason = 64, 64
)

// mountStates are the states that FUSE servers have reported. They are shown only: no
// decision depends on them. It is safe for concurrent use.
type mountStates struct {
	now func() time.Time

	mu sync.Mutex
	// byPeer holds the states by the certificate of the reporter and the id of the
	// mount, which the reporter chooses.
	byPeer map[mtls.Peer]map[string]mountState
	count  int
}

type mountState struct {
	state    *workerv1.MountState
	reported time.Time
}

func newMountStates() *mountStates {
	return &mountStates{now: time.Now, byPeer: map[mtls.Peer]map[string]mountState{}}
}

// report records a state. Invalid ones, and those beyond the limits, are ignored.
func (m *mountStates) report(peer mtls.Peer, state *workerv1.MountState) {
	id := state.GetId()
	if id == "" || len(id) > maxMountID || len(state.GetPassthrough()) > maxMountReason {
		return
	}
	kept := &workerv1.MountState{
		Id: message.Text(strings.Clone(id)), Passthrough: message.Text(strings.Clone(state.GetPassthrough())), Files: state.GetFiles(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own := m.byPeer[peer]
	if _, known := own[id]; !known {
		if m.count >= maxMountStates || len(own) >= maxOwnMountStates {
			m.expire()
		}
		if own = m.byPeer[peer]; m.count >= maxMountStates || len(own) >= maxOwnMountStates {
			return
		}
		if own == nil {
			own = map[string]mountState{}
			m.byPeer[peer] = own
		}
		m.count++
	}
	own[id] = mountState{state: kept, reported: m.now()}
}

// expire removes old states. The caller holds mu.
func (m *mountStates) expire() {
	now := m.now()
	for peer, own := range m.byPeer {
		for id, s := range own {
			if now.Sub(s.reported) > mountStateAge {
				delete(own, id)
				m.count--
			}
		}
		if len(own) == 0 {
			delete(m.byPeer, peer)
		}
	}
}

// list returns the states.
func (m *mountStates) list() []*workerv1.ReportedMount {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	now := m.now()
	var out []*workerv1.ReportedMount
	for _, own := range m.byPeer {
		for _, s := range own {
			out = append(out, &workerv1.ReportedMount{
				State: proto.CloneOf(s.state), Age: durationpb.New(max(0, now.Sub(s.reported))),
			})
		}
	}
	return out
}
