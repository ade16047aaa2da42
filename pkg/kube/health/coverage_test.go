package health_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/health"
)

var datasetPhases = map[v1alpha1.DatasetPhase]health.Level{
	v1alpha1.NoneDatasetPhase:          health.Pending,
	v1alpha1.PendingDatasetPhase:       health.Pending,
	v1alpha1.BoundDatasetPhase:         health.Ready,
	v1alpha1.FailedDatasetPhase:        health.Failed,
	v1alpha1.NotBoundDatasetPhase:      health.Pending,
	v1alpha1.UpdatingDatasetPhase:      health.Pending,
	v1alpha1.DataMigratingDatasetPhase: health.Pending,
}

var operationPhases = map[v1alpha1.OperationPhase]health.Level{
	v1alpha1.NoneOperationPhase:      health.Pending,
	v1alpha1.PendingOperationPhase:   health.Pending,
	v1alpha1.ExecutingOperationPhase: health.Pending,
	v1alpha1.CompleteOperationPhase:  health.Ready,
	v1alpha1.FailedOperationPhase:    health.Failed,
}

var componentPhases = map[v1alpha1.RuntimePhase]bool{
	v1alpha1.RuntimePhaseNone:         false,
	v1alpha1.RuntimePhaseNotReady:     false,
	v1alpha1.RuntimePhasePartialReady: true,
	v1alpha1.RuntimePhaseReady:        true,
}

// TestEveryConditionAndPhaseIsInterpreted fails when the API gains a condition or
// a phase for which these tests have no expectation.
func TestEveryConditionAndPhaseIsInterpreted(t *testing.T) {
	declared := constants(t, "../../api/v1alpha1")
	for typeName, have := range map[string][]string{
		"RuntimeConditionType": kinds(runtimeExpectations),
		"DatasetConditionType": kinds(datasetExpectations),
		"ConditionType":        kinds(operationExpectations),
		"DatasetPhase":         keys(datasetPhases),
		"OperationPhase":       keys(operationPhases),
		"RuntimePhase":         keys(componentPhases),
	} {
		if len(declared[typeName]) == 0 {
			t.Errorf("no constant of type %s was found", typeName)
		}
		for _, c := range declared[typeName] {
			if !slices.Contains(have, c.value) {
				t.Errorf("%s %q (%s) has no expectation", typeName, c.value, c.name)
			}
		}
	}
}

// TestEveryReasonIsInterpreted fails when a controller sets a reason that is not
// one of this package, or when a reason has no expectation.
func TestEveryReasonIsInterpreted(t *testing.T) {
	var expected []string
	for _, e := range slices.Concat(runtimeExpectations, datasetExpectations) {
		expected = append(expected, e.reason)
	}
	reasons := map[string]bool{}
	for _, c := range constants(t, ".")[""] {
		if name, isReason := strings.CutPrefix(c.name, "Reason"); isReason {
			reasons[name] = true
			if !slices.Contains(expected, c.value) {
				t.Errorf("%s (%q) has no expectation", c.name, c.value)
			}
		}
	}
	if len(reasons) == 0 {
		t.Fatal("no reason was found")
	}
	for _, controller := range []string{"runtime", "dataset"} {
		found := 0
		for _, c := range constants(t, "../controller/"+controller)[""] {
			if !strings.HasPrefix(c.name, "reason") && !strings.HasPrefix(c.name, "runtimeReason") {
				continue
			}
			found++
			if name, ok := strings.CutPrefix(c.from, "health.Reason"); !ok || !reasons[name] {
				t.Errorf("%s controller: %s is %q: define the reason in pkg/kube/health", controller, c.name, c.value+c.from)
			}
		}
		if found == 0 {
			t.Errorf("%s controller: no reason was found", controller)
		}
	}
}

type constant struct {
	name  string
	value string // of a string literal
	from  string // package.Name of a constant of another package
}

// constants returns the string constants of a package's files by their declared type.
func constants(t *testing.T, dir string) map[string][]constant {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("listing %s: %v", dir, err)
	}
	found := map[string][]constant{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if decl, ok := d.(*ast.GenDecl); ok && decl.Tok == token.CONST {
				for _, spec := range decl.Specs {
					collect(spec.(*ast.ValueSpec), found)
				}
			}
		}
	}
	return found
}

func collect(spec *ast.ValueSpec, found map[string][]constant) {
	typeName := ""
	if ident, ok := spec.Type.(*ast.Ident); ok {
		typeName = ident.Name
	}
	for i, value := range spec.Values {
		c := constant{name: spec.Names[i].Name}
		switch v := value.(type) {
		case *ast.BasicLit:
			if v.Kind != token.STRING {
				continue
			}
			c.value, _ = strconv.Unquote(v.Value)
		case *ast.SelectorExpr:
			if x, ok := v.X.(*ast.Ident); ok {
				c.from = x.Name + "." + v.Sel.Name
			}
		default:
			continue
		}
		found[typeName] = append(found[typeName], c)
	}
}

func kinds(expectations []expectation) []string {
	var all []string
	for _, e := range expectations {
		all = append(all, e.kind)
	}
	return all
}

func keys[K ~string, V any](m map[K]V) []string {
	var all []string
	for k := range m {
		all = append(all, string(k))
	}
	return all
}
