package check

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/test/cli/golden"
)

var update = golden.Flag()

// exampleReport has every state, long sentences and a long name.
func exampleReport() *CheckReport {
	results := []Result{
		{Category: "kubernetes", Name: "api-server", State: Passed, Message: "API server reachable (v1.37.2)"},
		{Category: "kubernetes", Name: "virtual-nodes", State: Passed, Message: "the node plugin can run on every node"},
		{Category: "permissions", Name: "rights", State: Warning, Message: "you have 10 of the 11 rights that the commands use: not to get secrets in vision"},
		{Category: "webhook", Name: "injection", State: Failed, Message: "labelled pods are refused: no pod of the webhook is ready"},
		{Category: "webhook", Name: "webhook-certificate", State: Skipped, Message: "no pod of the webhook is ready"},
		{Category: "dataset/a-name-that-is-long", Name: "dataset", State: Passed, Message: "it is Bound"},
		{Category: "dataset/a-name-that-is-long", Name: "credentials", State: Failed, Message: "there is no Secret \"密钥\" in namespace \"vision\", which fs.oss.accessKeyId asks for"},
	}
	for i := range results {
		results[i].See = explained + results[i].Name
	}
	return newReport(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), results)
}

func TestScreens(t *testing.T) {
	for _, width := range []int{80, 160} {
		for _, colour := range []bool{false, true} {
			screen := iostreams.Screen{Width: width, Colour: colour, Unicode: true, TTY: true}
			name := fmt.Sprintf("check-%d", width)
			if colour {
				name += "-colour"
			}
			t.Run(name, func(t *testing.T) {
				var out bytes.Buffer
				if err := Draw(&out, screen, exampleReport()); err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, *update, name+".txt", out.String())
				for line := range strings.Lines(out.String()) {
					if iostreams.Width(strings.TrimSuffix(line, "\n")) > width && !strings.Contains(line, "see https://") {
						t.Errorf("a line of %d columns: %s", iostreams.Width(line), line)
					}
				}
			})
		}
	}
	var out bytes.Buffer
	if err := DrawShort(&out, iostreams.Screen{Width: 80}, exampleReport()); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "check-short.txt", out.String())
}

// TestEveryCheckIsExplained: its section is there, and no section is of a check
// that is not.
func TestEveryCheckIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			sections[strings.TrimSpace(name)] = true
		}
	}
	known := map[string]bool{}
	for _, c := range append(beforeInstall(), afterInstall("hbase")...) {
		for _, k := range c.checkers {
			known[k.name] = true
			if !sections[k.name] {
				t.Errorf("docs/checks.md has no section %s", k.name)
			}
		}
	}
	for name := range sections {
		if !known[name] {
			t.Errorf("docs/checks.md explains %s, which is not a check", name)
		}
	}
}
