package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

const (
	// smallMaster is the master whose disk is a file system of smallMasterDisk
	// bytes.
	smallMaster     = "hadoop-jindofs-master-1"
	smallMasterDisk = 96 << 20
)

func masterData(dir, name string) string { return filepath.Join(dir, "data", name) }

// members returns the status of the masters, by name. A master that does not
// respond is absent.
func (b *breaking) members() (map[string]*masterv1.StatusResponse, error) {
	masters, err := b.Masters()
	if err != nil {
		return nil, err
	}
	all := map[string]*masterv1.StatusResponse{}
	for _, m := range masters.Members(b) {
		if m.Err == nil {
			all[m.Member.Name] = m.Status
		}
	}
	return all, nil
}

// ready waits until a master is ready, and returns its status.
func (b *breaking) ready(name string) (*masterv1.StatusResponse, error) {
	var status *masterv1.StatusResponse
	err := b.eventually(name+" is ready", func() error {
		all, err := b.members()
		if err != nil {
			return err
		}
		if status = all[name]; !status.GetReady() {
			return fmt.Errorf("its status is %v", status)
		}
		return nil
	})
	return status, err
}

// followers returns the masters that do not lead, with the small one last.
func (b *breaking) followers() ([]string, error) {
	leader, err := b.Leader(b)
	if err != nil {
		return nil, err
	}
	masters, err := b.Components("master")
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(masters, func(name string) bool { return name == leader })
	slices.SortFunc(others, func(x, y string) int {
		if x == smallMaster {
			return 1
		}
		return -1
	})
	return others, nil
}

// command waits until the masters execute a command.
func (b *breaking) command() error {
	return b.eventually("a command", func() error { return b.invalidate() })
}

// followerReturns stops one follower for 20 s and, once it is ready again, the
// other one: the leader and the first are then a majority.
func followerReturns(b *breaking) error {
	others, err := b.followers()
	if err != nil {
		return err
	}
	if err := b.stopped(others[0], 20*time.Second); err != nil {
		return err
	}
	if _, err := b.ready(others[0]); err != nil {
		return err
	}
	if err := b.Signal(others[1], syscall.SIGSTOP); err != nil {
		return err
	}
	err = b.command()
	return errors.Join(err, b.Signal(others[1], syscall.SIGCONT))
}

// olderCopy replaces the disk of a follower by a copy from before its last
// start. It must not vote with it: it joins as a new member.
func olderCopy(b *breaking) error {
	others, err := b.followers()
	if err != nil {
		return err
	}
	name := others[0]
	dir := masterData(b.Layout.Dir, name)
	copied := dir + ".copy"
	if err := b.Signal(name, syscall.SIGSTOP); err != nil {
		return err
	}
	out, err := exec.CommandContext(b, "cp", "-a", dir, copied).CombinedOutput()
	if err := errors.Join(err, b.Signal(name, syscall.SIGCONT)); err != nil {
		return fmt.Errorf("copy %s: %w: %s", dir, err, out)
	}
	if err := b.Kill(b, name); err != nil {
		return err
	}
	before, err := b.ready(name)
	if err != nil {
		return err
	}
	if err := b.command(); err != nil {
		return err
	}
	if err := b.swap(name, filepath.Join(copied, "member"), filepath.Join(dir, "member")); err != nil {
		return err
	}
	return b.eventually(name+" is a new member", func() error {
		after, err := b.ready(name)
		if err == nil && after.GetMemberId() == before.GetMemberId() {
			err = fmt.Errorf("it votes as %s", after.GetMemberId())
		}
		return err
	})
}

// swap replaces a directory of a component while its process does not run.
func (b *breaking) swap(name, from, to string) error {
	if err := b.Signal(name, syscall.SIGSTOP); err != nil {
		return err
	}
	away := to + ".away"
	if err := errors.Join(os.Rename(to, away), os.Rename(from, to), os.RemoveAll(away), os.RemoveAll(filepath.Dir(from))); err != nil {
		return errors.Join(err, b.Signal(name, syscall.SIGCONT))
	}
	return b.Kill(b, name)
}

// masterDiskFull fills the disk of one master. Commands continue on the others.
func masterDiskFull(b *breaking) error {
	filler := filepath.Join(masterData(b.Layout.Dir, smallMaster), "another-user")
	if err := fill(filler); err != nil {
		return err
	}
	defer os.Remove(filler)
	err := b.eventually(smallMaster+" is read-only", func() error {
		all, err := b.members()
		if err == nil && !all[smallMaster].GetReadOnly() {
			err = fmt.Errorf("its status is %v", all[smallMaster])
		}
		return err
	})
	if err == nil {
		err = b.command()
	}
	if err == nil {
		err = b.Kill(b, smallMaster)
	}
	if err == nil {
		err = b.readOn(500)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	return b.eventually(smallMaster+" accepts commands", func() error {
		status, err := b.ready(smallMaster)
		if err == nil && status.GetReadOnly() {
			err = errors.New(status.GetReason())
		}
		return err
	})
}

// fill writes a file until the file system is full.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for block := make([]byte, 256<<10); ; {
		if _, err := file.Write(block); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return nil
			}
			return err
		}
	}
}
