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

// module is the module whose sources are read.
const module = "github.com/jindo-io/jindo/"

// typeSource is what the sources contain about a type.
type typeSource struct {
	comment string
	fields  map[string]string
	// constants of the type, in their order.
	constants []any
}

// sources reads the comments and constants of types from the module's sources, a
// package at a time. The first error is kept in err.
type sources struct {
	packages map[string]map[string]*typeSource
	err      error
}

func newSources() *sources { return &sources{packages: map[string]map[string]*typeSource{}} }

// comment returns the comment of a field, or of the type if field is "", in one
// line.
func (s *sources) comment(of reflect.Type, field string) string {
	found := s.find(of)
	if field == "" {
		return found.comment
	}
	return found.fields[field]
}

// constants returns the values of a string type that has constants, or nil.
func (s *sources) constants(of reflect.Type) []any { return s.find(of).constants }

func (s *sources) find(of reflect.Type) *typeSource {
	read, has := s.packages[of.PkgPath()]
	if !has {
		var err error
		if read, err = readPackage(of.PkgPath()); err != nil && s.err == nil {
			s.err = err
		}
		s.packages[of.PkgPath()] = read
	}
	if found := read[of.Name()]; found != nil {
		return found
	}
	return &typeSource{}
}

// readPackage parses a package of the module; it returns nothing for others.
func readPackage(path string) (map[string]*typeSource, error) {
	inside, ours := strings.CutPrefix(path, module)
	if !ours {
		return nil, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, inside, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("find the sources of %s: %w", path, err)
	}
	types := map[string]*typeSource{}
	var constants []*ast.ValueSpec
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		for _, declaration := range file.Decls {
			group, is := declaration.(*ast.GenDecl)
			if !is {
				continue
			}
			for _, spec := range group.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					types[spec.Name.Name] = newTypeSource(group, spec)
				case *ast.ValueSpec:
					constants = append(constants, spec)
				}
			}
		}
	}
	for _, c := range constants {
		addConstant(types, c)
	}
	return types, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the sources: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the sources: no go.mod above %s", dir)
		}
	}
}

func newTypeSource(group *ast.GenDecl, spec *ast.TypeSpec) *typeSource {
	out := &typeSource{comment: line(spec.Doc), fields: map[string]string{}}
	if out.comment == "" {
		out.comment = line(group.Doc)
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

func addConstant(types map[string]*typeSource, c *ast.ValueSpec) {
	kind, is := c.Type.(*ast.Ident)
	if !is || types[kind.Name] == nil {
		return
	}
	for _, value := range c.Values {
		if literal, is := value.(*ast.BasicLit); is && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				types[kind.Name].constants = append(types[kind.Name].constants, text)
			}
		}
	}
}

// line returns a comment without its markers for generators, in one line.
func line(comment *ast.CommentGroup) string {
	var words []string
	for text := range strings.Lines(comment.Text()) {
		if !strings.HasPrefix(text, "+") {
			words = append(words, strings.Fields(text)...)
		}
	}
	return strings.Join(words, " ")
}
