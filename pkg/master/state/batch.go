package state

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

const (
	// FormatVersion is the newest format of entries that this version reads and
	// writes. It reads all older ones, too.
	FormatVersion = 2
	// FormatUses is the first format in which sessions can be renewed, owners have
	// quotas, and commands carry the use of a session or a worker that they are
	// based on.
	FormatUses = 2
	// MaxBatch is the maximum number of commands in one entry.
	MaxBatch = 1024
	// MaxBatchBytes is the maximum size of one entry, in bytes.
	MaxBatchBytes = 4 << 20
)

// ErrUnknown reports that an entry contains something that this version does
// not know, because a newer version wrote it.
var ErrUnknown = errors.New("written by a newer version: upgrade this member")

// EncodeBatch encodes commands as one entry in a format. Commands that need a
// newer one are written without what it added, or, if that is impossible, are an
// error.
func EncodeBatch(format uint32, commands []*statev1.Command) ([]byte, error) {
	if format < 1 || format > FormatVersion {
		return nil, fmt.Errorf("encode batch: format %d, this version writes 1 to %d", format, FormatVersion)
	}
	if len(commands) > MaxBatch {
		return nil, fmt.Errorf("encode batch: %d commands, at most %d are allowed", len(commands), MaxBatch)
	}
	for _, c := range commands {
		if Operation(c) == 0 {
			return nil, errors.New("encode batch: a command has no operation")
		}
	}
	if format < FormatUses {
		var err error
		if commands, err = withoutUses(commands); err != nil {
			return nil, err
		}
	}
	entry, err := proto.Marshal(&statev1.Batch{Version: format, Commands: commands})
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if len(entry) > MaxBatchBytes {
		return nil, fmt.Errorf("encode batch: %d bytes, at most %d are allowed", len(entry), MaxBatchBytes)
	}
	return entry, nil
}

// withoutUses returns commands as formats before FormatUses have them.
func withoutUses(commands []*statev1.Command) ([]*statev1.Command, error) {
	older := slices.Clone(commands)
	for i, c := range commands {
		switch op := c.GetOperation().(type) {
		case *statev1.Command_RenewSession:
			return nil, errors.New("encode batch: sessions cannot be renewed while a member has an older version")
		case *statev1.Command_ExpireSessions:
			older[i] = clone(c)
			expire := older[i].GetExpireSessions()
			for _, e := range op.ExpireSessions.GetExpiries() {
				expire.Sessions = append(expire.Sessions, e.GetSession())
			}
			expire.Expiries = nil
		case *statev1.Command_OpenSession:
			older[i] = clone(c)
			older[i].GetOpenSession().MaxOpen, older[i].GetOpenSession().MaxKept = 0, 0
		case *statev1.Command_RemoveWorker:
			older[i] = clone(c)
			older[i].GetRemoveWorker().Used = 0
		}
	}
	return older, nil
}

// DecodeBatch decodes an entry. It returns an error for anything that this
// version does not know, so that no member executes a part of what another
// executed.
func DecodeBatch(entry []byte) (*statev1.Batch, error) {
	batch := &statev1.Batch{}
	if err := proto.Unmarshal(entry, batch); err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	// The limits of a newer format may be others.
	if batch.GetVersion() > FormatVersion {
		return nil, fmt.Errorf("decode batch: format %d, this version reads 1 to %d: %w", batch.GetVersion(), FormatVersion, ErrUnknown)
	}
	if batch.GetVersion() == 0 {
		return nil, errors.New("decode batch: it has no format version")
	}
	if len(entry) > MaxBatchBytes {
		return nil, fmt.Errorf("decode batch: %d bytes, at most %d are allowed", len(entry), MaxBatchBytes)
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
