package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// costly are functions that take long enough to slow down the start of a program
// when they initialise a variable of a package.
func costly() []string {
	return []string{"regexp.MustCompile", "regexp.Compile", "template.Must", "template.New", "resource.MustParse", "runtime.NewScheme", "strings.NewReplacer"}
}

// TestPluginInitialisesLate checks that no package of this module which the plugin
// links does costly work before main. Work that only some commands need belongs into
// sync.OnceValue.
func TestPluginInitialisesLate(t *testing.T) {
	packages := list(t)
	plugin := slices.IndexFunc(packages, func(p pkg) bool { return p.ImportPath == module+"cmd/kubectl-jindo" })
	if plugin < 0 {
		t.Fatal("the plugin was not found")
	}
	checked := 0
	for _, p := range packages {
		if !slices.Contains(packages[plugin].Deps, p.ImportPath) || strings.Contains(p.ImportPath, "/rpc/") {
			continue
		}
		for _, name := range p.GoFiles {
			checked++
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range early(file) {
				t.Errorf("%s: %s at each start", files.Position(call.Pos()), called(call))
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d files were checked", checked)
	}
}

// early returns the costly calls of a file that run before main.
func early(file *ast.File) []*ast.CallExpr {
	var found []*ast.CallExpr
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // it runs when it is called
		case *ast.CallExpr:
			if slices.Contains(costly(), called(n)) {
				found = append(found, n)
			}
		}
		return true
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.GenDecl:
			ast.Inspect(d, look)
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				ast.Inspect(d.Body, look)
			}
		}
	}
	return found
}

// called returns the function of a call as it is written: regexp.MustCompile.
func called(call *ast.CallExpr) string {
	selector, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return ""
	}
	from, is := selector.X.(*ast.Ident)
	if !is {
		return ""
	}
	return from.Name + "." + selector.Sel.Name
}
