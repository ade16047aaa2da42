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

// crdSchema is what the API server does with objects of one kind.
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

// errors that the API server refuses an object with at creation; of its rules
// only when its types are right. It drops what it does not know and fills in
// defaults, in the object itself.
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

// Why only Validate refuses something.
const (
	// foreign: Datasets of Fluid's other runtimes have the same schema.
	foreign = "Datasets of other runtimes may be so"
	// costly: rules may cost so much and no more, and go through no text.
	costly = "no rule can tell within its budget"
)

// beyond are the specs of the tables that the schema judges otherwise than
// Validate, by the name of the test.
func beyond() map[string]string {
	return map[string]string{
		"TestDataLoads/a_directory_with_a_slash_and_without": costly,
		"TestDataLoads/another_namespace":                    "rules do not know the namespace",
		"TestDataLoads/a_path_twice":                         costly,
		"TestDataLoads/hour_24":                              "rules look at the form only",
		"TestDataLoads/step_0":                               "rules look at the form only",
		"TestDataLoads/backwards":                            "rules look at the form only",
		"TestMounts/none":                                    foreign,
		"TestMounts/an_empty_list":                           "an empty list is not written out again",
		"TestMounts/a_name_with_a_slash":                     foreign,
		"TestMounts/a_name_of_dots":                          foreign,
		"TestMounts/a_long_name":                             foreign,
		"TestMounts/a_relative_path":                         foreign,
		"TestMounts/a_path_with_a_slash_behind_it":           foreign,
		"TestMounts/a_path_that_goes_up":                     foreign,
		"TestMounts/a_path_with_a_line_break":                foreign,
		"TestMounts/a_path_that_is_another's_name":           "only in the object with its defaults",
		"TestMounts/a_path_inside_another":                   costly,
		"TestMounts/a_path_inside_the_root":                  costly,
		"TestMountPoints/an_unknown_scheme":                  foreign,
		"TestMountPoints/s3a":                                foreign,
		"TestMountPoints/capitals":                           foreign,
		"TestMountPoints/no_scheme":                          foreign,
		"TestMountPoints/an_empty_scheme":                    foreign,
		"TestMountPoints/one_slash":                          foreign,
		"TestMountPoints/a_bucket_of_dots":                   foreign,
		"TestMountPoints/a_prefix_that_goes_up":              foreign,
		"TestMountPoints/a_prefix_with_an_empty_element":     foreign,
		"TestMountPoints/local_that_goes_up":                 foreign,
		"TestMountPoints/a_line_break":                       foreign,
		"TestStoreOptions/no_endpoint":                       foreign,
		"TestStoreOptions/an_empty_endpoint":                 foreign,
		"TestStoreOptions/s3_with_neither":                   foreign,
		"TestStoreOptions/an_option_with_a_slash":            foreign,
		"TestStoreOptions/a_shared_option_with_a_space":      foreign,
		"TestCredentials/only_the_id":                        foreign,
		"TestCredentials/only_the_secret":                    foreign,
		"TestCredentials/only_the_id,_in_a_Secret":           foreign,
		"TestCredentials/only_the_token":                     foreign,
		"TestCredentials/half_a_pair,_shared":                foreign,
		"TestCredentials/half_a_pair_of_another_store":       foreign,
		"TestCredentials/an_empty_id":                        foreign,
		"TestCredentials/other_capitals":                     foreign,
		"TestCredentials/in_clear_and_in_a_Secret":           costly,
		"TestCredentials/twice_in_Secrets":                   costly,
		"TestCacheOptions/metapolicy":                        foreign,
		"TestCacheOptions/no_replicas":                       costly,
		"TestCacheOptions/many_replicas":                     costly,
		"TestCacheOptions/shared":                            "a mount may put the shared options right",
		"TestCacheOptions/in_a_Secret":                       foreign,
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

// checkSchema holds the schema to what Validate says of an object, as it is
// written and with its defaults.
func checkSchema(t *testing.T, kind, written, defaulted string, refused bool) {
	t.Helper()
	reason, differs := beyond()[t.Name()]
	same := true
	for _, text := range []string{written, defaulted} {
		errs := schemaErrors(t, kind, text)
		for _, e := range errs {
			if !differs && !strings.Contains(e.Detail, "write") && !strings.Contains(e.Detail, "leave") {
				t.Errorf("%q does not say what to write instead", e)
			}
		}
		if refused == (len(errs) > 0) {
			continue
		}
		same = false
		if !differs {
			t.Errorf("refused by Validate: %v, by the schema: %v\n%s", refused, errs, text)
		}
	}
	if differs && same {
		t.Errorf("the schema says what Validate says, so the entry in beyond must go: %s", reason)
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

// The API server accepts the CRDs themselves, the costs of their rules included,
// and so does one that overlooks the maxLength of quotas, as 1.30 does.
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
			t.Errorf("%s as Kubernetes 1.30 reckons: %v", kind, errs)
		}
	}
}
