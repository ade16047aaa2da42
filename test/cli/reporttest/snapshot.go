package reporttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/jindo-io/jindo/pkg/master/snapshot"
	"github.com/jindo-io/jindo/pkg/master/state"
)

// snapshotFile returns an empty state as a snapshot file.
func snapshotFile() ([]byte, error) {
	machine, err := state.New(func(error) {})
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	err = snapshot.Write(&file, snapshot.Header{Master: "m-0", Members: []snapshot.Member{{ID: "m-0-ff", Address: "host:1", Voter: true}}}, machine.Snapshot())
	return file.Bytes(), err
}

// WriteSnapshot writes the snapshot file of a master whose state is empty. It fails
// for the master m-9, which does not exist.
func WriteSnapshot(master string, w io.Writer) error {
	if master == "m-9" {
		return errors.New("m-9 is not a master")
	}
	file, err := snapshotFile()
	if err == nil {
		_, err = w.Write(file)
	}
	return err
}

// CheckSnapshot reads file, and fails unless it is what WriteSnapshot writes.
func CheckSnapshot(file io.Reader) error {
	got, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read the snapshot: %w", err)
	}
	want, err := snapshotFile()
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("the file is not the one that was saved")
	}
	return nil
}
