package v1alpha1

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

// hostileQuantities take all memory when they are parsed or compared. The digits are
// many enough for a test of the bounds, and few enough for one that fails.
var hostileQuantities = []string{
	"1e-9999999", "1E-9999999", "1e9999999", "+1e+9999999", "12345678901234567890e999999", "1.5e-999999", "1e100", "1e-100",
	strings.Repeat("9", 1000), "0." + strings.Repeat("9", 1000),
}

// TestQuantitiesAreBounded: one object with a large exponent must not stop the
// controllers, which decode the objects of all namespaces.
func TestQuantitiesAreBounded(t *testing.T) {
	valid := []string{"100Gi", "1e3", "1E3", "0.5", ".5", "500m", "-1", "1e-3", "12E", "3Ei", "1e18"}
	for _, text := range valid {
		q, err := ParseQuantity(text)
		if err != nil || q.Cmp(resource.MustParse(text)) != 0 {
			t.Errorf("%s: %v, %v", text, q.String(), err)
		}
	}
	for _, text := range hostileQuantities {
		if _, err := ParseQuantity(text); err == nil {
			t.Errorf("%.30s is accepted", text)
		}
	}
	crds, err := os.ReadFile("../../../manifests/crds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	patterns := 0
	for _, match := range regexp.MustCompile(`(?m)^ *pattern: (.*)$`).FindAllStringSubmatch(string(crds), -1) {
		pattern, err := regexp.Compile(match[1])
		if err != nil || !pattern.MatchString("100Gi") || !pattern.MatchString("500m") {
			continue // not one of quantities
		}
		patterns++
		for _, text := range valid {
			if !pattern.MatchString(text) {
				t.Errorf("the schema rejects %s: %s", text, pattern)
			}
		}
		for _, text := range hostileQuantities {
			if pattern.MatchString(text) {
				t.Errorf("the schema accepts %.30s: %s", text, pattern)
			}
		}
	}
	if patterns < 10 {
		t.Errorf("%d patterns of quantities in the schemas", patterns)
	}
}

// TestHostileQuantityOfARuntime: the API server refuses the object.
func TestHostileQuantityOfARuntime(t *testing.T) {
	for _, component := range []string{"master", "worker", "fuse"} {
		for _, text := range hostileQuantities {
			object := map[string]any{"apiVersion": APIVersion, "kind": JindoRuntimeKind, "metadata": map[string]any{"name": "a"}, "spec": map[string]any{
				component: map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": text}}},
			}}
			if errs := schemaOf(t, JindoRuntimeKind).errors(object); len(errs) == 0 {
				t.Errorf("%s: %.30s is accepted", component, text)
			}
		}
	}
}

func TestEqualQuantities(t *testing.T) {
	for _, row := range []struct {
		a, b  string
		equal bool
	}{
		{"1Gi", "1073741824", true},
		{"1", "1000m", true},
		{"1Gi", "1G", false},
		{"1", "0", false},
		{"0", "0m", true},
		{"1e2000000000", "1", false},
		{"0e2000000000", "1", false},
		{"1e2000000000", "1e2000000000", true},
	} {
		if got := EqualQuantities(resource.MustParse(row.a), resource.MustParse(row.b)); got != row.equal {
			t.Errorf("%s and %s: %v", row.a, row.b, got)
		}
	}
}
