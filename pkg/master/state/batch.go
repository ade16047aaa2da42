package state

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// batchVersion of entries that this version writes, and the only one it
	// reads.
	batchVersion = 1
	// MaxBatch commands travel in one entry.
	MaxBatch = 1024
	// MaxBatchBytes of commands travel in one entry.
	MaxBatchBytes = 4 << 20
)

// ErrUnknown says that an entry holds something this version does not know: it
// was written by a newer one.
var ErrUnknown = errors.New("written by a newer version: this member must be upgraded to go on")

// EncodeBatch makes an entry of commands.
func EncodeBatch(commands []*statev1.Command) ([]byte, error) {
	if len(commands) > MaxBatch {
		return nil, fmt.Errorf("encoding a batch of %d commands: it holds at most %d", len(commands), MaxBatch)
	}
	for _, c := range commands {
		if Operation(c) == 0 {
			return nil, errors.New("encoding a batch: a command has no operation")
		}
	}
	entry, err := proto.Marshal(&statev1.Batch{Version: batchVersion, Commands: commands})
	if err != nil {
		return nil, fmt.Errorf("encoding a batch: %w", err)
	}
	if len(entry) > MaxBatchBytes {
		return nil, fmt.Errorf("encoding a batch of %d bytes: it takes at most %d", len(entry), MaxBatchBytes)
	}
	return entry, nil
}

// DecodeBatch reads an entry. It fails for everything this version does not
// know, so that no member executes half of what another did.
func DecodeBatch(entry []byte) (*statev1.Batch, error) {
	if len(entry) > MaxBatchBytes {
		return nil, fmt.Errorf("decoding a batch of %d bytes: it takes at most %d", len(entry), MaxBatchBytes)
	}
	batch := &statev1.Batch{}
	if err := proto.Unmarshal(entry, batch); err != nil {
		return nil, fmt.Errorf("decoding a batch: %w", err)
	}
	if batch.GetVersion() != batchVersion {
		return nil, fmt.Errorf("decoding a batch of version %d: %w", batch.GetVersion(), ErrUnknown)
	}
	if len(batch.GetCommands()) > MaxBatch {
		return nil, fmt.Errorf("decoding a batch of %d commands: it holds at most %d", len(batch.GetCommands()), MaxBatch)
	}
	if field := unknownField(batch.ProtoReflect()); field != "" {
		return nil, fmt.Errorf("decoding a batch: %s has a field that is not known: %w", field, ErrUnknown)
	}
	for i, c := range batch.GetCommands() {
		if Operation(c) == 0 {
			return nil, fmt.Errorf("decoding a batch: the operation of command %d is not known: %w", i, ErrUnknown)
		}
	}
	return batch, nil
}

// unknownField is the name of the first message, in no particular order, that
// carries a field this version does not know; empty when there is none.
func unknownField(m protoreflect.Message) string {
	if len(m.GetUnknown()) > 0 {
		return string(m.Descriptor().FullName())
	}
	found := ""
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil, field.IsMap():
			// Maps of this schema hold scalars.
		case field.IsList():
			for i := 0; i < value.List().Len() && found == ""; i++ {
				found = unknownField(value.List().Get(i).Message())
			}
		default:
			found = unknownField(value.Message())
		}
		return found == ""
	})
	return found
}
