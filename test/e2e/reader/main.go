// Command reader reads a mounted data set, as the application in the pods of the
// end-to-end tests. It verifies every byte, and prints its results as JSON lines.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jindo-io/jindo/test/dataset"
	"github.com/jindo-io/jindo/test/verify"
)

// line is printed once every period, and at the end.
type line struct {
	Reads  int64    `json:"reads"`
	Bytes  int64    `json:"bytes"`
	Failed int64    `json:"failed"`
	Wrong  int64    `json:"wrong"`
	Worst  int64    `json:"worstMilliseconds"`
	Errors []string `json:"errors,omitempty"`
	Final  bool     `json:"final,omitempty"`
}

func main() {
	var set dataset.Options
	root := flag.String("root", "/data", "directory that the data set is mounted at")
	dir := flag.String("dir", ".", "directory of the data set to walk")
	watch := flag.Bool("watch", false, "read until SIGTERM, rather than every file once")
	threads := flag.Int("threads", 4, "number of reading threads")
	flag.IntVar(&set.Files, "files", 100, "files of the set")
	flag.IntVar(&set.Large, "large", 2, "large files among them")
	flag.Int64Var(&set.LargeSize, "large-size", 8<<20, "bytes of a large file")
	flag.Int64Var(&set.SmallSize, "small-size", 64<<10, "bytes of a small file at most")
	flag.Parse()
	files := dataset.Plan(set)
	if *watch {
		os.Exit(read(*root, files, *threads))
	}
	report, err := verify.Walk(*root, *dir, files)
	show(report, err, true)
	if err != nil || report.Failed+report.Wrong > 0 {
		os.Exit(1)
	}
}

func read(root string, files []dataset.File, threads int) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reader := verify.Start(verify.Options{Root: root, Files: files, Threads: threads, Hold: 4, Pause: 2 * time.Millisecond})
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			show(reader.Report(), nil, false)
		case <-ctx.Done():
			report := reader.Stop()
			show(report, nil, true)
			if report.Failed+report.Wrong > 0 {
				return 1
			}
			return 0
		}
	}
}

func show(report verify.Report, err error, final bool) {
	l := line{
		Reads: report.Reads, Bytes: report.Bytes, Failed: report.Failed, Wrong: report.Wrong,
		Worst: report.Worst.Milliseconds(), Final: final,
	}
	for _, e := range report.Errors {
		l.Errors = append(l.Errors, e.Error())
	}
	if err != nil {
		l.Errors = append(l.Errors, err.Error())
	}
	raw, err := json.Marshal(l)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return
	}
	fmt.Println(string(raw))
}
