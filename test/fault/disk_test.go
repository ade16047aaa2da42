package fault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// cachedFilesRemoved removes every cached file of every worker, behind its back.
func cachedFilesRemoved(b *breaking) error {
	files, err := filepath.Glob(filepath.Join(b.Layout.Dir, "tiers", "*", "*", "blocks-v1", "*", "*.data"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("%d cached files", len(files)))
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return b.readOn(1000)
}

// masterLogFlipped flips one bit of the log of a follower that is down, and waits
// until it has joined as a new member. The bit is in the root page of the newest
// transaction, so that it always matters.
func masterLogFlipped(b *breaking) error {
	leader, err := b.Leader(b)
	if err != nil {
		return err
	}
	masters, err := b.Components("master")
	if err != nil {
		return err
	}
	follower := masters[0]
	if follower == leader {
		follower = masters[1]
	}
	data := filepath.Join(b.Layout.Dir, "data", follower)
	before, err := filepath.Glob(filepath.Join(data, "aside-*"))
	if err != nil {
		return err
	}
	dead, cancel := context.WithCancel(b)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.KeepDown(dead, follower)
	}()
	err = b.readOn(200)
	if err == nil {
		err = flipRootPage(filepath.Join(data, "member", "raft.db"))
	}
	if err == nil {
		err = b.readOn(200)
	}
	cancel()
	<-ended
	if err != nil {
		return err
	}
	return b.eventually("replacing "+follower, func() error {
		after, err := filepath.Glob(filepath.Join(data, "aside-*"))
		if err != nil || len(after) != len(before)+1 {
			return errors.Join(err, fmt.Errorf("set aside: %v", after))
		}
		return b.mastersReady()
	})
}

// flipRootPage flips a bit of the root page of a bbolt file.
func flipRootPage(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	size := int64(os.Getpagesize())
	metas := make([]byte, 2*size)
	if _, err := file.ReadAt(metas, 0); err != nil {
		return err
	}
	// Within a meta page, the root page is at 32 and the transaction at 64.
	newest := metas
	if binary.LittleEndian.Uint64(metas[size+64:]) > binary.LittleEndian.Uint64(metas[64:]) {
		newest = metas[size:]
	}
	at := int64(binary.LittleEndian.Uint64(newest[32:])) * size
	one := make([]byte, 1)
	if _, err := file.ReadAt(one, at); err != nil {
		return err
	}
	one[0] ^= 1
	_, err = file.WriteAt(one, at)
	return err
}

// mastersReady returns an error unless every master is a voter and ready.
func (b *breaking) mastersReady() error {
	masters, err := b.Masters()
	if err != nil {
		return err
	}
	for _, m := range masters.Members(b) {
		if m.Err != nil {
			return fmt.Errorf("%s: %w", m.Member.Name, m.Err)
		}
		if !m.Status.GetReady() || !m.Status.GetVoter() {
			return fmt.Errorf("%s is not ready", m.Member.Name)
		}
	}
	return nil
}
