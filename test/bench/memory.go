package main

import (
	"context"
	"fmt"

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
	"github.com/jindo-io/jindo/test/verify"
)

// memory measures the resident set of each idle process after every file of a data
// set was read twice.
func memory(ctx context.Context, bin, dir string) (table, error) {
	files := dataset.Plan(dataset.Options{Files: 3000, Large: 4, LargeSize: 24 << 20, SmallSize: 32 << 10})
	s, err := testbed.Open(ctx, testbed.Options{Bin: bin, Dir: dir, Store: "oss", Files: files})
	if err != nil {
		return table{}, err
	}
	defer s.Close()
	defer func() { _ = s.Down(context.WithoutCancel(ctx)) }()
	for range 2 {
		if _, err := verify.Walk(s.Root(), ".", files); err != nil {
			return table{}, err
		}
	}
	t := table{
		Title: "Resident memory",
		Notes: fmt.Sprintf("After %d files (%d MiB) were read twice.", len(files), dataset.Bytes(files)>>20),
	}
	for _, role := range []string{"master", "worker", "fuse"} {
		names, err := s.Components(role)
		if err != nil {
			return table{}, err
		}
		one := series{What: role, Unit: "MiB"}
		for _, name := range names {
			pid, err := s.PID(name)
			if err != nil {
				return table{}, err
			}
			rss, err := resident(pid)
			if err != nil {
				return table{}, err
			}
			one.Figures = append(one.Figures, rss)
		}
		t.Series = append(t.Series, one)
	}
	return t, nil
}

// resident returns the resident set of a process in MiB.
func resident(pid int) (float64, error) {
	kib, err := statusField(pid, "VmRSS:")
	return kib / 1024, err
}
