package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/testbed"
	"github.com/jindo-io/jindo/test/verify"
)

// demo is one run of the demo.
type demo struct {
	bin, store, dir string
	files           int
	began           time.Time

	set     []dataset.File
	testbed *testbed.Testbed
	reader  *verify.Reader
	down    bool
}

func (d *demo) run(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"A bucket with a data set, and a runtime from the two manifests", d.start},
		{"Every file of the mount, against the data set", d.walk},
		{"The screens", d.show},
		{"The leader is killed under a verifying reader", d.killLeader},
		{"The FUSE server is killed under open files", d.killFuse},
		{"All masters are kept down, and a FUSE server is restarted", d.killMasters},
		{"Everything is stopped", d.stop},
	} {
		fmt.Printf("\n── %s  (%s)\n", step.what, time.Since(d.began).Round(time.Second))
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("\nNo read failed and none was wrong. %s in all.\n", time.Since(d.began).Round(time.Second))
	return nil
}

func (d *demo) start(ctx context.Context) error {
	d.set = dataset.Plan(dataset.Options{Files: d.files, Large: 4, LargeSize: 24 << 20, SmallSize: 32 << 10})
	var err error
	d.testbed, err = testbed.Open(ctx, testbed.Options{Bin: d.bin, Dir: d.dir, Store: d.store, Files: d.set, Out: os.Stdout})
	if err != nil {
		return err
	}
	fmt.Printf("%d files, %d MiB in %s\n", len(d.set), dataset.Bytes(d.set)>>20, d.testbed.Store.MountPoint)
	return nil
}

func (d *demo) walk(context.Context) error {
	for _, pass := range []string{"first", "second"} {
		start := time.Now()
		report, err := verify.Walk(d.testbed.Root(), ".", d.set)
		if err != nil {
			return err
		}
		took := time.Since(start)
		fmt.Printf("%s pass: %d files right, %.0f MiB/s\n", pass, report.Reads, float64(report.Bytes)/(1<<20)/took.Seconds())
	}
	return nil
}

func (d *demo) show(ctx context.Context) error {
	if err := d.testbed.Run(ctx, os.Stdout, "kubectl-jindo", "status", "hadoop", "--local"); err != nil {
		return err
	}
	fmt.Printf("\n$ jindo jfs -metaStatus -detail\n")
	return d.testbed.Run(ctx, os.Stdout, "jindo", "jfs", "-metaStatus", "-detail")
}

func (d *demo) killLeader(ctx context.Context) error {
	d.reader = verify.Start(verify.Options{Root: d.testbed.Root(), Files: d.set, Threads: 4, Hold: 4, Pause: time.Millisecond})
	masters, err := d.testbed.Masters()
	if err != nil {
		return err
	}
	leader, err := d.testbed.Leader(ctx)
	if err != nil {
		return err
	}
	commits := testbed.StartCommits(masters, d.testbed.MountPath())
	defer commits.Stop()
	if err := commits.Wait(ctx, 10); err != nil {
		return err
	}
	commits.Reset()
	if err := d.testbed.Kill(ctx, leader); err != nil {
		return err
	}
	if err := commits.Wait(ctx, 20); err != nil {
		return err
	}
	next, err := d.testbed.Leader(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s was killed, %s leads; the longest time without a commit was %s\n", leader, next, commits.Worst().Round(time.Millisecond))
	return d.checkReads(ctx)
}

func (d *demo) killFuse(ctx context.Context) error {
	names, err := d.testbed.Components("fuse")
	if err != nil {
		return err
	}
	for range 5 {
		if err := d.testbed.Kill(ctx, names[0]); err != nil {
			return err
		}
		if err := d.readOn(ctx); err != nil {
			return err
		}
	}
	fmt.Println("5 times; each successor took over the open files")
	return d.checkReads(ctx)
}

func (d *demo) killMasters(ctx context.Context) error {
	masters, err := d.testbed.Components("master")
	if err != nil {
		return err
	}
	fuse, err := d.testbed.Components("fuse")
	if err != nil {
		return err
	}
	dead, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.testbed.KeepDown(dead, masters...)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := d.testbed.Kill(ctx, fuse[0]); err != nil {
		return err
	}
	if err := d.readOn(ctx); err != nil {
		return err
	}
	if _, err := verify.Walk(d.testbed.Root(), ".", d.set); err != nil {
		return err
	}
	fmt.Printf("%d masters down, %s restarted meanwhile; every file was read again\n", len(masters), fuse[0])
	if err := d.checkReads(ctx); err != nil {
		return err
	}
	cancel()
	<-ended
	leader, err := d.testbed.Leader(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("the masters run again, %s leads\n", leader)
	return nil
}

// readOn waits until the reader has progressed since the last fault.
func (d *demo) readOn(ctx context.Context) error {
	before := d.reader.Report().Reads
	for d.reader.Report().Reads < before+500 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the reader: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// checkReads ends the current report and returns an error if a read failed or was wrong.
func (d *demo) checkReads(ctx context.Context) error {
	if err := d.readOn(ctx); err != nil {
		return err
	}
	report := d.reader.Reset()
	fmt.Println(report)
	if report.Failed+report.Wrong > 0 {
		return fmt.Errorf("reads failed: %w", errors.Join(report.Errors...))
	}
	return nil
}

func (d *demo) stop(ctx context.Context) error {
	d.reader.Stop()
	pids, err := d.testbed.PIDs()
	if err != nil {
		return err
	}
	if err := d.testbed.Down(ctx); err != nil {
		return err
	}
	d.down = true
	if err := d.testbed.Left(pids); err != nil {
		return err
	}
	fmt.Printf("%d processes have ended; mount and state directory are removed\n", len(pids))
	return nil
}

// end cleans up after an aborted demo.
func (d *demo) end() {
	if d.testbed == nil {
		return
	}
	if d.reader != nil && !d.down {
		d.reader.Stop()
	}
	if !d.down {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := d.testbed.Down(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "cleaning up:", err)
		}
	}
	d.testbed.Close()
}
