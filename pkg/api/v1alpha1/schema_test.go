package v1alpha1

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// crdSchema validates objects of one kind as the API server does.
type crdSchema struct {
	crd        *apiextensions.CustomResourceDefinition
	structural *structuralschema.Structural
	types      validation.SchemaValidator
	rules      *cel.Validator
}

var schemas = sync.OnceValues(func() (map[string]*crdSchema, error) {
	all := map[string]*crdSchema{}
	for _, plural := range []string{"datasets", "jindoruntimes", "dataloads"} {
		s, err := readSchema("../../../manifests/crd/" + Group + "_" + plural + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("reading the CRD of %s: %w", plural, err)
		}
		all[s.crd.Spec.Names.Kind] = s
	}
	return all, nil
})

func readSchema(file string) (*crdSchema, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &v1); err != nil {
		return nil, err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	s := &crdSchema{crd: &apiextensions.CustomResourceDefinition{}}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, s.crd, nil); err != nil {
		return nil, err
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil); err != nil {
		return nil, err
	}
	if s.structural, err = structuralschema.NewStructural(&internal); err != nil {
		return nil, err
	}
	if s.types, _, err = validation.NewSchemaValidator(&internal); err != nil {
		return nil, err
	}
	s.rules = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	return s, nil
}

func schemaOf(t *testing.T, kind string) *crdSchema {
	t.Helper()
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	return all[kind]
}

// errors returns the errors with which the API server rejects an object at
// creation. CEL rules are evaluated only if the types are valid. Unknown fields
// are pruned and defaults are set in the object itself.
func (s *crdSchema) errors(object map[string]any) field.ErrorList {
	pruning.Prune(object, s.structural, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	defaulting.Default(object, s.structural)
	errs := validation.ValidateCustomResource(nil, object, s.types)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(errs) == 0 {
		errs, _ = s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	}
	return errs
}

// Reasons why only Validate rejects an object.
const (
	// costly rules would exceed the cost budget of CEL.
	costly = "no rule can check this within its cost budget"
)

// beyond maps the tests in which the schema and Validate differ to the reason.
func beyond() map[string]string {
	return map[string]string{
		"TestDataLoads/a_directory_with_a_slash_and_without": costly,
		"TestDataLoads/another_namespace":                    "rules do not know the namespace",
		"TestDataLoads/a_path_twice":                         costly,
		"TestDataLoads/hour_24":                              "rules check the form only",
		"TestDataLoads/step_0":                               "rules check the form only",
		"TestDataLoads/backwards":                            "rules check the form only",
		"TestTiers/a_small_entry":                            costly,
		"TestTiers/too_small":                                costly,
		"TestTiers/too_small_for_two":                        costly,
		"TestTiers/one_path_twice":                           costly,
		"TestTiers/a_path_inside_another":                    costly,
		"TestTiers/one_path_for_two_levels":                  costly,
		"TestRuntimeWords/no_names_of_variables":             costly,
		"TestRuntimeWords/an_unknown_volume_mounted":         costly,
	}
}

// checkSchema compares the schema with Validate for one object, as it is written
// and with its defaults. The schema of Datasets accepts more, because a Dataset
// may belong to another runtime: TestDatasetSchemaIsFluids covers what it rejects.
func checkSchema(t *testing.T, kind, written, defaulted string, refused bool) {
	t.Helper()
	reason, differs := beyond()[t.Name()]
	same := true
	for _, text := range []string{written, defaulted} {
		errs := schemaErrors(t, kind, text)
		for _, e := range errs {
			if !differs && !strings.Contains(e.Detail, "write") && !strings.Contains(e.Detail, "omit") {
				t.Errorf("%q does not name a valid value", e)
			}
		}
		if refused == (len(errs) > 0) || refused && kind == DatasetKind {
			continue
		}
		same = false
		if !differs {
			t.Errorf("refused by Validate: %v, by the schema: %v\n%s", refused, errs, text)
		}
	}
	if differs && same {
		t.Errorf("the schema agrees with Validate, so the entry in beyond must be removed: %s", reason)
	}
}

func schemaErrors(t *testing.T, kind, text string) field.ErrorList {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]any{}
	if err := utiljson.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	delete(object, "status") // as the API server does at creation
	return schemaOf(t, kind).errors(object)
}

// The API server accepts the CRDs themselves, including the costs of their rules,
// and so does one that ignores the maxLength of quotas, as Kubernetes 1.30 does.
func TestCRDsAreValid(t *testing.T) {
	for _, kind := range []string{DatasetKind, JindoRuntimeKind, DataLoadKind} {
		crd := schemaOf(t, kind).crd.DeepCopy()
		if errs := crdvalidation.ValidateCustomResourceDefinition(t.Context(), crd); len(errs) > 0 {
			t.Errorf("%s: %v", kind, errs)
		}
		if kind != JindoRuntimeKind {
			continue
		}
		tiers := crd.Spec.Validation.OpenAPIV3Schema.Properties["spec"].Properties["tieredstore"]
		level := tiers.Properties["levels"].Items.Schema
		quota := level.Properties["quota"]
		quota.MaxLength = nil
		level.Properties["quota"] = quota
		if errs := crdvalidation.ValidateCustomResourceDefinition(t.Context(), crd); len(errs) > 0 {
			t.Errorf("%s as Kubernetes 1.30 estimates: %v", kind, errs)
		}
	}
}

// The schema of Datasets rejects what Fluid's own schema rejects, and nothing
// else: a Dataset may belong to another runtime.
func TestDatasetSchemaIsFluids(t *testing.T) {
	for spec, want := range map[string]string{
		"mounts: []":              "write at least one mount",
		mountsOf("name: a"):       "write the location of the data",
		mountsOf("mountPoint: a"): "too short",
		mountsOf("mountPoint: 'local:///d'") + "\nplacement: Alone": "write Exclusive or Shared",
	} {
		errs := schemaErrors(t, DatasetKind, manifest(DatasetKind, "", spec))
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%s: errors %v, want one with %q", spec, errs, want)
		}
	}
	for name, text := range foreignDatasets() {
		if errs := schemaErrors(t, DatasetKind, text); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
