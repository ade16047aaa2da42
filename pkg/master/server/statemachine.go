package server

import (
	"errors"
	"fmt"
	"io"

	"github.com/jindo-io/jindo/pkg/master/consensus"
	"github.com/jindo-io/jindo/pkg/master/state"
)

// StateMachine adapts the state to consensus. Neither package imports the
// other.
func StateMachine(m *state.Machine) consensus.StateMachine { return machine{m} }

type machine struct{ *state.Machine }

var _ consensus.StateMachine = machine{}

// Apply implements consensus.StateMachine.
func (m machine) Apply(index uint64, command []byte) any {
	result := m.Machine.Apply(index, command)
	if err, ok := result.(error); ok {
		return newerFormat(err)
	}
	return result
}

// Restore implements consensus.StateMachine.
func (m machine) Restore(r io.Reader) error { return newerFormat(m.Machine.Restore(r)) }

// newerFormat converts the error of the state for what a newer version wrote.
func newerFormat(err error) error {
	if errors.Is(err, state.ErrUnknown) {
		return fmt.Errorf("%w: %w", consensus.ErrNewerFormat, err)
	}
	return err
}

// Snapshot implements consensus.StateMachine.
func (m machine) Snapshot() consensus.Snapshot { return m.Machine.Snapshot() }

var (
	_ io.WriterTo        = (*state.Snapshot)(nil)
	_ consensus.Snapshot = (*state.Snapshot)(nil)
)
