package schematest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// module whose sources are read.
const module = "github.com/jindo-io/jindo/"

// about is what the sources say of a type.
type about struct {
	doc    string
	fields map[string]string
	// words are the constants of the type, in their order.
	words []string
}

// sources of packages that were read.
type sources struct{ packages map[string]map[string]*about }

func newSources() *sources { return &sources{map[string]map[string]*about{}} }

func (s *sources) of(t reflect.Type) (*about, error) {
	read, has := s.packages[t.PkgPath()]
	if !has {
		var err error
		if read, err = readPackage(t.PkgPath()); err != nil {
			return nil, err
		}
		s.packages[t.PkgPath()] = read
	}
	if found := read[t.Name()]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("type %s is not in the sources", t)
}

func readPackage(path string) (map[string]*about, error) {
	inside, ours := strings.CutPrefix(path, module)
	if !ours {
		return nil, fmt.Errorf("package %s is not of this module", path)
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, inside, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("finding the sources of %s: %w", path, err)
	}
	all := map[string]*about{}
	var constants []*ast.ValueSpec
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		for _, declaration := range file.Decls {
			group, is := declaration.(*ast.GenDecl)
			if !is {
				continue
			}
			for _, spec := range group.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					all[spec.Name.Name] = typeOf(group, spec)
				case *ast.ValueSpec:
					constants = append(constants, spec)
				}
			}
		}
	}
	for _, c := range constants {
		addWord(all, c)
	}
	return all, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the sources: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the sources: no go.mod above %s", dir)
		}
	}
}

func typeOf(group *ast.GenDecl, spec *ast.TypeSpec) *about {
	out := &about{doc: line(spec.Doc), fields: map[string]string{}}
	if out.doc == "" {
		out.doc = line(group.Doc)
	}
	body, is := spec.Type.(*ast.StructType)
	if !is {
		return out
	}
	for _, field := range body.Fields.List {
		for _, name := range field.Names {
			out.fields[name.Name] = line(field.Doc)
		}
	}
	return out
}

func addWord(all map[string]*about, c *ast.ValueSpec) {
	kind, is := c.Type.(*ast.Ident)
	if !is || all[kind.Name] == nil {
		return
	}
	for _, value := range c.Values {
		if literal, is := value.(*ast.BasicLit); is && literal.Kind == token.STRING {
			if word, err := strconv.Unquote(literal.Value); err == nil {
				all[kind.Name].words = append(all[kind.Name].words, word)
			}
		}
	}
}

// line is a comment in one.
func line(comment *ast.CommentGroup) string { return strings.Join(strings.Fields(comment.Text()), " ") }
