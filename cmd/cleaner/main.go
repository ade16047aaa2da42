// Command cleaner removes what a runtime left on one node: below each directory
// given, the directories at NAMESPACE/NAME that carry the runtime's uid. A pod
// of the system namespace runs it once the runtime's own pods are gone.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/jindo-io/jindo/pkg/owner"
)

func main() {
	uid := flag.String("uid", "", "uid of the runtime")
	below := flag.String("below", "", "NAMESPACE/NAME of the runtime, the directory's place below each of those given")
	report := flag.String("report", "", "file that takes what was kept, or why it failed, for who started this")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: cleaner --uid=UID --below=NAMESPACE/NAME DIRECTORY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	kept, err := clean(*uid, *below, flag.Args())
	lines := kept
	if err != nil {
		lines = append(lines, "error: "+err.Error())
	}
	if len(lines) > 0 {
		text := strings.Join(lines, "\n") + "\n"
		fmt.Fprint(os.Stderr, text)
		if *report != "" {
			_ = os.WriteFile(*report, []byte(text), 0o644) // it is on stderr as well
		}
	}
	if err != nil {
		os.Exit(1)
	}
}

// clean answers what it kept, a line each.
func clean(uid, below string, roots []string) ([]string, error) {
	if len(roots) == 0 {
		return nil, errors.New("no directory is given: write at least one")
	}
	var kept []string
	var errs []error
	for _, root := range roots {
		removal, err := owner.Remove(root, below, uid)
		for _, dir := range removal.Removed {
			fmt.Printf("removed %s of %s\n", dir, root)
		}
		for _, why := range removal.Kept {
			kept = append(kept, "kept "+why)
		}
		errs = append(errs, err)
	}
	return kept, errors.Join(errs...)
}
