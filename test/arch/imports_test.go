package arch

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// importGroup returns the position of the group of an import: standard library,
// third party, this module.
func importGroup(path string) int {
	switch {
	case strings.HasPrefix(path, module):
		return 2
	case strings.Contains(strings.Split(path, "/")[0], "."):
		return 1
	}
	return 0
}

// TestImportGroups checks that every file separates its imports into groups of one
// kind, at most one for each kind, in the order of importGroup.
func TestImportGroups(t *testing.T) {
	for _, p := range list(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			if path := filepath.Join(p.Dir, name); !strings.HasSuffix(name, ".pb.go") && !strings.HasPrefix(name, "zz_generated.") {
				if problem := mixedImports(t, path); problem != "" {
					t.Errorf("%s: import %s: want one group each for the standard library, third parties and this module", path, problem)
				}
			}
		}
	}
}

// mixedImports returns the first import of a file that is in the wrong group; empty
// if there is none.
func mixedImports(t *testing.T, path string) string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	line, group := 0, 0
	for i, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		at, next := files.Position(spec.Pos()).Line, importGroup(imported)
		if sameGroup := at == line+1; i > 0 && (sameGroup && next != group || !sameGroup && next <= group) {
			return imported
		}
		line, group = at, next
	}
	return ""
}
