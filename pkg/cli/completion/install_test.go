package completion

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func touch(t *testing.T, dir, name string) string {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := os.WriteFile(at, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestInstall(t *testing.T) {
	beside, other := t.TempDir(), t.TempDir()
	self := touch(t, beside, "kubectl-jindo")
	p := place{path: []string{"relative", other, beside}}
	if err := p.find(); err != nil || p.self != self {
		t.Fatalf("found %q, %v", p.self, err)
	}
	for range 2 { // a second time changes nothing
		at, err := install(p, "")
		if err != nil || at != filepath.Join(beside, "kubectl_complete-jindo") {
			t.Fatalf("installed %q, %v", at, err)
		}
		if target, err := os.Readlink(at); err != nil || target != self {
			t.Errorf("the link points to %q, error %v", target, err)
		}
	}
	// The directory of the program is not in PATH.
	if at, err := install(place{self: self, path: []string{other}}, ""); err != nil || filepath.Dir(at) != other {
		t.Errorf("installed %q, %v", at, err)
	}
}

func TestInstallErrors(t *testing.T) {
	taken := t.TempDir()
	touch(t, taken, "kubectl_complete-jindo")
	self := touch(t, taken, "kubectl-jindo")
	for name, test := range map[string]struct {
		p    place
		dir  string
		want string
	}{
		"name taken":        {place{self: self, path: []string{taken}}, "", "is not a link: remove it first"},
		"missing directory": {place{self: self}, "/nope/nope", "installing to /nope/nope"},
		"no PATH":           {place{self: self}, "", "PATH has no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := install(test.p, test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestInstallScript(t *testing.T) {
	dir := t.TempDir()
	at, err := install(place{self: `C:\bin\kubectl-jindo.exe`, path: []string{dir}, windows: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(at)
	if err != nil || string(raw) != "@echo off\r\n\"C:\\bin\\kubectl-jindo.exe\" __complete %*\r\n" {
		t.Errorf("%s holds %q, %v", at, raw, err)
	}
}

func TestArguments(t *testing.T) {
	for argv0, want := range map[string][]string{
		"/usr/bin/kubectl-jindo":                {"tree", ""},
		"/usr/bin/kubectl_complete-jindo":       {"__complete", "tree", ""},
		`C:\bin\kubectl_complete-jindo.exe`:     {"__complete", "tree", ""},
		"/opt/kubectl_complete-x/kubectl-jindo": {"tree", ""},
	} {
		if got := Arguments(argv0, []string{"tree", ""}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", argv0, got, want)
		}
	}
}
