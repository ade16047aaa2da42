//go:build linux

package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
)

// TestFullDiskAfterATakeover fills the disk after a server has given the space of
// empty chunks back. Neither it nor its successor may access the holes that this has
// left, which would fault; here the successor while its scan makes slots available.
func TestFullDiskAfterATakeover(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: need root to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("jindo-test", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("no tmpfs here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	ids := &counter{}
	before := reopen(t, dir, nil, ids)
	leaveHoles(t, before)
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = filler.Close() }()
	for page := make([]byte, 4096); err == nil; {
		_, err = filler.Write(page)
	}

	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if files, dirs := before.below("/"); len(files) != 0 || len(dirs) != 1 {
		t.Errorf("%d files and %d directories are known, want the root", len(files), len(dirs))
	}
	if err := before.close(); err != nil {
		t.Fatal(err)
	}
	table, err := takeTable(filepath.Join(dir, tableName), [16]byte{1}, ids, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.close() }()
	for range table.arena.chunks {
		table.space.addChunk(true)
	}
	table.startScan()
	for _, step := range []func(uint32){table.scanSlot, table.releaseUnseen} {
		for slot := range table.scanning.end {
			step(slot)
		}
	}
	const names = 10_000
	for i := range names {
		table.recordLookups(uint64(2*i), []lookup{file(fmt.Sprintf("/new/%06d", i), "0123456789abcdef", 1)}, nil)
		table.replied(uint64(2 * i))
	}
	if nodes, _, _ := table.sizes(); nodes != names+1 {
		t.Errorf("%d nodes are known, want %d", nodes-1, names)
	}
}

// leaveHoles looks up names, and forgets all.
func leaveHoles(t *testing.T, table *table) {
	t.Helper()
	var list []forgetEntry
	for i := range 10_000 {
		nodes := table.recordLookups(uint64(2*i), []lookup{file(fmt.Sprintf("/old/%06d", i), "0123456789abcdef", 1)}, nil)
		table.replied(uint64(2 * i))
		list = append(list, forgetEntry{node: nodes[0].id, count: 1})
	}
	table.forget(1<<40, list)
	table.replied(1 << 40)
	holes := 0
	for _, hole := range table.arena.holes {
		if hole {
			holes++
		}
	}
	if holes == 0 {
		t.Fatal("no space was given back")
	}
}
