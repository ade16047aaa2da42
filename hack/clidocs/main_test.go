package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	written, err := pages(plugin())
	if err != nil {
		t.Fatal(err)
	}
	again, err := pages(plugin())
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range written {
		if !bytes.Equal(page, again[name]) {
			t.Errorf("%s differs between two runs", name)
		}
		if bytes.Contains(page, []byte(home+"/")) {
			t.Errorf("%s contains the home directory of this machine", name)
		}
		for _, link := range links(string(page)) {
			if _, ok := written[link]; !ok {
				t.Errorf("%s links to %s, which does not exist", name, link)
			}
		}
	}
	for name, want := range map[string]string{
		"kubectl_jindo_check.md":       "--pre",
		"kubectl_jindo_raft_status.md": "kubectl jindo raft status [NAME]",
		"README.md":                    "3  the command succeeded and found something unhealthy",
	} {
		if !strings.Contains(string(written[name]), want) {
			t.Errorf("%s has no %q", name, want)
		}
	}
	if _, ok := written["kubectl_jindo_local_supervise.md"]; ok {
		t.Error("a hidden command has a page")
	}
}

// links returns the links of a page to other pages.
func links(page string) []string {
	var found []string
	for _, part := range strings.Split(page, "](")[1:] {
		target, _, _ := strings.Cut(part, ")")
		if strings.HasSuffix(target, ".md") {
			found = append(found, target)
		}
	}
	return found
}

func TestRunReplacesPages(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "kubectl_jindo_removed.md")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the page of a removed command exists")
	}
	if _, err := os.Stat(filepath.Join(dir, "kubectl_jindo.md")); err != nil {
		t.Error(err)
	}
}
