package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
	"github.com/jindo-io/jindo/test/verify"
)

const kills = 20

// failover measures how long commits fail after the leader is killed, and the
// slowest read in that time.
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

	refused := series{What: "commit refused at SIGKILL of the leader", Unit: "ms"}
	stall := series{What: "worst read meanwhile", Unit: "ms"}
	for range kills {
		leader, err := s.Leader(ctx)
		if err != nil {
			return table{}, err
		}
		if err := commits.Wait(ctx, 100); err != nil {
			return table{}, err
		}
		commits.Reset()
		reader.Reset()
		if err := s.Kill(ctx, leader); err != nil {
			return table{}, err
		}
		if err := commits.Wait(ctx, 100); err != nil {
			return table{}, err
		}
		report := reader.Report()
		if report.Failed+report.Wrong > 0 {
			return table{}, fmt.Errorf("reads failed: %s: %v", report, report.Errors)
		}
		refused.Figures = append(refused.Figures, float64(commits.Worst().Milliseconds()))
		stall.Figures = append(stall.Figures, float64(report.Worst.Microseconds())/1000)
	}
	return table{
		Title:  "The leader is killed",
		Notes:  fmt.Sprintf("%d times, three masters on one machine at their default timeouts, a client that commits without pause and a reader that checks every byte. 90%% of the commits were refused for at most %.0f ms.", kills, quantile(refused.Figures, 0.9)),
		Series: []series{refused, stall},
	}, nil
}
