package manifests_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/jindo-io/jindo/manifests"
)

const securityFile = "../docs/security.md"

// securitySection returns the rows of the table in a section of docs/security.md.
func securitySection(t *testing.T, title string) [][]string {
	t.Helper()
	raw, err := os.ReadFile(securityFile)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(raw), "\n## "+title+"\n")
	if !found {
		t.Fatalf("%s has no section %s", securityFile, title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		if cells := strings.Split(strings.Trim(line, "|\n "), " | "); len(cells) >= 3 {
			rows = append(rows, cells)
		}
	}
	if len(rows) < 2 {
		t.Fatalf("section %s of %s has no table", title, securityFile)
	}
	return rows[1:]
}

// docs/security.md says what each right to write, and to read Secrets, of every
// account gives in all namespaces.
func TestSecurityListsTheRights(t *testing.T) {
	documented := map[string]bool{}
	for _, row := range securitySection(t, "Accounts") {
		for resource := range strings.SplitSeq(row[1], ", ") {
			documented[row[0]+" "+resource] = true
		}
	}
	granted := map[string]bool{}
	for name, role := range named[rbacv1.ClusterRole](t, manifests.Install) {
		if len(role.Labels) > 1 { // a role of users, which others aggregate
			continue
		}
		for _, rule := range role.Rules {
			writes := slices.ContainsFunc(rule.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) })
			for _, resource := range rule.Resources {
				if writes || resource == "secrets" {
					granted[name+" "+resource] = true
				}
			}
		}
	}
	for right := range granted {
		if !documented[right] {
			t.Errorf("%s does not say what the compromise of %s gives", securityFile, right)
		}
	}
	for right := range documented {
		if !granted[right] {
			t.Errorf("%s lists %s, which no ClusterRole grants", securityFile, right)
		}
	}
}

// The tests that docs/security.md names exist.
func TestSecurityNamesTests(t *testing.T) {
	tests := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declaration.FindAllSubmatch(source, -1) {
			tests[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range securitySection(t, "Attacks") {
		for name := range strings.SplitSeq(row[2], ", ") {
			if !tests[name] {
				t.Errorf("%s names %s, which does not exist", securityFile, name)
			}
		}
	}
}
