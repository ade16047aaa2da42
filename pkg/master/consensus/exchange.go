package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jindo-io/jindo/pkg/atomicfile"
)

// exchangeRecord is in a directory that replaces the one of another member, until the
// exchange is complete. It is written last: a directory with it is complete.
//
// Invariant: at every moment, also when the process is killed or power is lost between
// two steps, the data directory holds the former member, complete, or its replacement,
// complete, and the next start uses the replacement if and only if the former member's
// directory was moved. See finishExchange.
type exchangeRecord struct {
	// Former is the id of the member that is replaced.
	Former string `json:"former"`
	// Reason is recorded in the directory of the former member, which is kept.
	Reason string `json:"reason"`
}

const exchangeFile = "exchange.json"

// former is where the directory of a member is that was replaced, until it is kept
// under its own name.
func (d memberDir) former() string { return filepath.Join(d.dir, "member.former") }

// exchange replaces the member's directory by the one that prepareNew has created.
func (d memberDir) exchange(record exchangeRecord) error {
	for _, step := range d.exchangeSteps(record) {
		if err := step(); err != nil {
			return fmt.Errorf("exchange member directories: %w", err)
		}
	}
	return nil
}

// exchangeSteps returns the steps of an exchange, in their order.
func (d memberDir) exchangeSteps(record exchangeRecord) []func() error {
	return []func() error{
		func() error {
			raw, err := json.Marshal(record)
			if err != nil {
				return err
			}
			return atomicfile.Write(filepath.Join(d.unfinished(), exchangeFile), raw, 0o600)
		},
		func() error { return d.rename(d.member(), d.former()) },
		func() error { return d.rename(d.unfinished(), d.member()) },
		func() error { return d.keepFormer(record) },
		func() error { return d.endExchange() },
	}
}

// rename renames a directory durably, to a name that is free.
func (d memberDir) rename(from, to string) error {
	if taken, err := exists(to); err != nil || taken {
		return errors.Join(err, fmt.Errorf("%s exists", to))
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return atomicfile.SyncDir(d.dir)
}

// keepFormer gives the directory of the former member its final name.
func (d memberDir) keepFormer(record exchangeRecord) error {
	if left, err := exists(d.former()); err != nil || !left {
		return err
	}
	return d.moveAside(d.former(), asideName(record.Former), record.Reason)
}

// endExchange removes the record.
func (d memberDir) endExchange() error {
	err := os.Remove(filepath.Join(d.member(), exchangeFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, atomicfile.SyncDir(d.member()))
}

// finishExchange completes an exchange that was interrupted after the former member's
// directory was moved. One that was interrupted before that had no effect, and its
// replacement is removed: it must not take the place of a directory that is moved later.
func (d memberDir) finishExchange() error {
	present, err := exists(d.member())
	if err != nil {
		return fmt.Errorf("read member directory: %w", err)
	}
	at := d.member()
	if !present {
		at = d.unfinished()
	}
	raw, err := os.ReadFile(filepath.Join(at, exchangeFile))
	if errors.Is(err, os.ErrNotExist) {
		if err := os.RemoveAll(d.unfinished()); err != nil {
			return fmt.Errorf("remove an unfinished member directory: %w", err)
		}
		return nil
	}
	var record exchangeRecord
	if err == nil {
		err = json.Unmarshal(raw, &record)
	}
	if err == nil && !present {
		err = d.rename(d.unfinished(), d.member())
	}
	if err == nil {
		err = errors.Join(d.keepFormer(record), d.endExchange())
	}
	if err != nil {
		return fmt.Errorf("continue an interrupted exchange of member directories: %w", err)
	}
	return nil
}
