package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// named matches a Go file of this repository in backticks.
var named = regexp.MustCompile("`((?:cmd|pkg|test|hack|krew|manifests|tools)/[^` ]+\\.go)`")

// TestFilesNamedInDocumentsExist keeps the walks through the code true.
func TestFilesNamedInDocumentsExist(t *testing.T) {
	const root = "../.."
	documents, err := filepath.Glob(root + "/docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	documents = append(append(documents, more...), root+"/README.md", root+"/CONTRIBUTING.md")
	count := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			count++
			if _, err := os.Stat(filepath.Join(root, match[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", document, match[1])
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d names of files were found in the documents", count)
	}
}

// link matches a relative link of Markdown, with an optional anchor.
var link = regexp.MustCompile(`\]\(([^):#]+)(#[^)]*)?\)`)

// TestLinksInDocumentsLeadSomewhere checks relative links of the documents.
func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == ".cluster" || entry.Name() == "testdata" || entry.Name() == "dist") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, match[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
