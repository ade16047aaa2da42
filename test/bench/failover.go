package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
	"github.com/jindo-io/jindo/test/verify"
)

// kills is how often each signal is sent.
const kills = 100

// failover measures how long commits fail after the leader is killed, or asked to
// end, and the slowest read in that time.
func failover(ctx context.Context, bin, dir string) (table, error) {
	files := dataset.Plan(dataset.Options{Files: 200, SmallSize: 64 << 10})
	s, err := testbed.Open(ctx, testbed.Options{Bin: bin, Dir: dir, Store: "oss", Files: files})
	if err != nil {
		return table{}, err
	}
	defer s.Close()
	defer func() { _ = s.Down(context.WithoutCancel(ctx)) }()
	masters, err := s.Masters()
	if err != nil {
		return table{}, err
	}
	commits := testbed.StartCommits(masters, s.MountPath())
	defer commits.Stop()
	reader := verify.Start(verify.Options{Root: s.Root(), Files: files, Threads: 2, Hold: 4, Pause: time.Millisecond})
	defer reader.Stop()

	var all []series
	for _, signal := range []struct {
		name string
		end  func(ctx context.Context, leader string) error
	}{
		{"SIGKILL", s.Kill},
		{"SIGTERM", s.Terminate},
	} {
		refused := series{What: "commit refused at " + signal.name + " of the leader", Unit: "ms"}
		stall := series{What: "worst read meanwhile, " + signal.name, Unit: "ms"}
		for range kills {
			worst, read, err := failOnce(ctx, s, commits, reader, signal.end)
			if err != nil {
				return table{}, fmt.Errorf("%s: %w", signal.name, err)
			}
			refused.Figures = append(refused.Figures, float64(worst.Milliseconds()))
			stall.Figures = append(stall.Figures, float64(read.Microseconds())/1000)
		}
		all = append(all, refused,
			series{What: refused.What + ", nine of ten at most", Unit: "ms", Figures: []float64{quantile(refused.Figures, 0.9)}},
			series{What: refused.What + ", 99 of 100 at most", Unit: "ms", Figures: []float64{quantile(refused.Figures, 0.99)}},
			stall)
	}
	return table{
		Title:  "The leader is killed",
		Notes:  fmt.Sprintf("%d times with each signal, three masters on one machine at their default timeouts, a client that commits without pause and a reader that checks every byte.", kills),
		Series: all,
	}, nil
}

// failOnce ends the leader once, and returns the longest time between two commits
// and the slowest read until commits succeed again.
func failOnce(ctx context.Context, s *testbed.Testbed, commits *testbed.Commits, reader *verify.Reader, end func(context.Context, string) error) (worst, read time.Duration, err error) {
	leader, err := s.SpareableLeader(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := commits.Wait(ctx, 100); err != nil {
		return 0, 0, err
	}
	commits.Reset()
	reader.Reset()
	if err := end(ctx, leader); err != nil {
		return 0, 0, err
	}
	if err := commits.Wait(ctx, 100); err != nil {
		return 0, 0, err
	}
	report := reader.Report()
	if report.Failed+report.Wrong > 0 {
		return 0, 0, fmt.Errorf("reads failed: %s: %v", report, report.Errors)
	}
	return commits.Worst(), report.Worst, nil
}
