package server

import (
	"io"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
)

// StateMachine adapts the state to consensus. Neither package imports the
// other.
func StateMachine(m *state.Machine) consensus.StateMachine { return machine{m} }

type machine struct{ *state.Machine }

var _ consensus.StateMachine = machine{}

// Snapshot implements consensus.StateMachine.
func (m machine) Snapshot() consensus.Snapshot { return m.Machine.Snapshot() }

var (
	_ io.WriterTo        = (*state.Snapshot)(nil)
	_ consensus.Snapshot = (*state.Snapshot)(nil)
)
