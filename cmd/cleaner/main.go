// Command cleaner removes the directories of a deleted runtime on one node: below
// each given directory, those at NAMESPACE/NAME whose owner file has the runtime's
// uid. The controller runs it in a pod of the system namespace after the runtime's
// own pods have been deleted.
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
	below := flag.String("below", "", "NAMESPACE/NAME of the runtime, the path of its directory below each DIRECTORY")
	report := flag.String("report", "", "file to which the kept directories and the error are written")
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
			_ = os.WriteFile(*report, []byte(text), 0o644) // also on stderr
		}
	}
	if err != nil {
		os.Exit(1)
	}
}

// clean removes the runtime's directories below roots. It returns one line for each
// directory that it kept.
func clean(uid, below string, roots []string) ([]string, error) {
	if len(roots) == 0 {
		return nil, errors.New("no DIRECTORY argument: pass at least one")
	}
	var kept []string
	var errs []error
	for _, root := range roots {
		removal, err := owner.Remove(root, below, uid)
		for _, dir := range removal.Removed {
			fmt.Printf("removed %s in %s\n", dir, root)
		}
		for _, reason := range removal.Kept {
			kept = append(kept, "kept "+reason)
		}
		errs = append(errs, err)
	}
	return kept, errors.Join(errs...)
}
