package completion

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
		if raw, err := os.ReadFile(at); err != nil || !strings.Contains(string(raw), "exec '"+self+"' __complete") {
			t.Errorf("the script is %q, error %v", raw, err)
		}
	}
	// Not on PATH: a directory that is.
	if at, err := install(place{self: self, path: []string{other}}, ""); err != nil || filepath.Dir(at) != other {
		t.Errorf("installed %q, %v", at, err)
	}
}

func TestInstallFailures(t *testing.T) {
	taken := t.TempDir()
	touch(t, taken, "kubectl_complete-jindo")
	self := touch(t, taken, "kubectl-jindo")
	for name, test := range map[string]struct {
		p    place
		dir  string
		want string
	}{
		"name is taken":     {place{self: self, path: []string{taken}}, "", "is not the completion of this plugin: remove it first"},
		"no such directory": {place{self: self}, "/nope/nope", "cannot install into /nope/nope"},
		"no PATH":           {place{self: self}, "", "no directory of PATH for"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := install(test.p, test.dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestUninstalled checks that nothing is left once the plugin is uninstalled: the
// script removes itself, and uninstall removes it and links of earlier versions.
func TestUninstalled(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs sh")
	}
	dir, other := t.TempDir(), t.TempDir()
	self := touch(t, dir, "kubectl-jindo")
	if err := os.WriteFile(self, []byte("#!/bin/sh\necho \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := place{self: self, path: []string{dir, other}}
	at, err := install(p, "")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), at, "status", "").CombinedOutput(); err != nil || string(out) != "__complete status \n" {
		t.Errorf("the script prints %q, error %v", out, err)
	}
	if err := os.Symlink(self, p.file(other)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(self); err != nil { // as krew does
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), at, "status", "").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the script without its plugin prints %q, error %v", out, err)
	}
	if _, err := os.Lstat(at); !os.IsNotExist(err) {
		t.Errorf("the script exists without its plugin: %v", err)
	}
	if removed, err := p.remove(p.path); err != nil || !slices.Equal(removed, []string{p.file(other)}) {
		t.Errorf("removed %q, error %v, want the dangling link", removed, err)
	}
	foreign := touch(t, other, program)
	if removed, err := p.remove(p.path); err != nil || len(removed) > 0 {
		t.Errorf("removed %q, error %v, but %s is another program", removed, err, foreign)
	}
}

func TestInstallScript(t *testing.T) {
	dir := t.TempDir()
	at, err := install(place{self: `C:\bin\kubectl-jindo.exe`, path: []string{dir}, windows: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(at)
	if err != nil || string(raw) != "@echo off\r\nif not exist \"C:\\bin\\kubectl-jindo.exe\" (del \"%~f0\" & exit /b 0)\r\n\"C:\\bin\\kubectl-jindo.exe\" __complete %*\r\n" {
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
