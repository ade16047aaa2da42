package state

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// batchVersion is the version of the entries that this version writes, and
	// the only one that it reads.
	batchVersion = 1
	// MaxBatch is the maximum number of commands in one entry.
	MaxBatch = 1024
	// MaxBatchBytes is the maximum size of one entry, in bytes.
	MaxBatchBytes = 4 << 20
)

// ErrUnknown reports that an entry contains something that this version does
// not know, because a newer version wrote it.
var ErrUnknown = errors.New("written by a newer version: upgrade this member")

// EncodeBatch encodes commands as one entry.
func EncodeBatch(commands []*statev1.Command) ([]byte, error) {
	if len(commands) > MaxBatch {
		return nil, fmt.Errorf("encode batch: %d commands, at most %d are allowed", len(commands), MaxBatch)
	}
	for _, c := range commands {
		if Operation(c) == 0 {
			return nil, errors.New("encode batch: a command has no operation")
		}
	}
	entry, err := proto.Marshal(&statev1.Batch{Version: batchVersion, Commands: commands})
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if len(entry) > MaxBatchBytes {
		return nil, fmt.Errorf("encode batch: %d bytes, at most %d are allowed", len(entry), MaxBatchBytes)
	}
	return entry, nil
}

// DecodeBatch decodes an entry. It returns an error for anything that this
// version does not know, so that no member executes a part of what another
// executed.
func DecodeBatch(entry []byte) (*statev1.Batch, error) {
	if len(entry) > MaxBatchBytes {
		return nil, fmt.Errorf("decode batch: %d bytes, at most %d are allowed", len(entry), MaxBatchBytes)
	}
	batch := &statev1.Batch{}
	if err := proto.Unmarshal(entry, batch); err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	if batch.GetVersion() != batchVersion {
		return nil, fmt.Errorf("decode batch: version %d: %w", batch.GetVersion(), ErrUnknown)
	}
	if len(batch.GetCommands()) > MaxBatch {
		return nil, fmt.Errorf("decode batch: %d commands, at most %d are allowed", len(batch.GetCommands()), MaxBatch)
	}
	if field := unknownField(batch.ProtoReflect()); field != "" {
		return nil, fmt.Errorf("decode batch: %s has an unknown field: %w", field, ErrUnknown)
	}
	for i, c := range batch.GetCommands() {
		if Operation(c) == 0 {
			return nil, fmt.Errorf("decode batch: command %d has an unknown operation: %w", i, ErrUnknown)
		}
	}
	return batch, nil
}

// unknownField returns the name of a message, in no particular order, that has
// a field that this version does not know; empty when there is none.
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
