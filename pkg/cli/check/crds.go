package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/manifests"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// definitions compares the CRDs with those that this program contains.
func definitions(ctx context.Context, w *checkContext) outcome {
	ours, err := ourDefinitions()
	if err != nil {
		return skip("%v", err)
	}
	var differ []string
	for _, want := range ours {
		name := want.GetName()
		found := &unstructured.Unstructured{}
		found.SetGroupVersionKind(want.GroupVersionKind())
		switch err := w.cluster.Get(ctx, client.ObjectKey{Name: name}, found); {
		case apierrors.IsNotFound(err):
			return bad("CustomResourceDefinition %s not found: apply crds.yaml", name)
		case err != nil:
			return w.unread("read CustomResourceDefinition "+name, err)
		}
		if !established(found) {
			return bad("CustomResourceDefinition %s is not served: kubectl describe crd %s", name, name)
		}
		stored, _, _ := unstructured.NestedStringSlice(found.Object, "status", "storedVersions")
		if !slices.Equal(stored, []string{v1alpha1.GroupVersion().Version}) {
			return warn("objects of %s are stored as %s, not only as %s", name, strings.Join(stored, " and "), v1alpha1.GroupVersion().Version)
		}
		if !equality.Semantic.DeepEqual(schemaOf(want), schemaOf(found)) {
			differ = append(differ, name)
		}
	}
	if len(differ) > 0 {
		return warn("the schemas of %s differ from those of this program: apply the crds.yaml of the installed version, or use the plugin of that version", several(differ))
	}
	return good("%d CRDs, served and stored as %s only", len(ours), v1alpha1.GroupVersion().Version)
}

func ourDefinitions() ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	for document := range strings.SplitSeq(manifests.CRDs, "\n---\n") {
		object := &unstructured.Unstructured{}
		raw, err := yaml.YAMLToJSON([]byte(document))
		if err == nil {
			err = object.UnmarshalJSON(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("decode this program's CRDs: %w", err)
		}
		found = append(found, object)
	}
	return found, nil
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		fields, _ := c.(map[string]any)
		return fields["type"] == "Established" && fields["status"] == "True"
	})
}

// schemaOf returns the schema of the version that this program uses.
func schemaOf(crd *unstructured.Unstructured) any {
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		if fields, _ := v.(map[string]any); fields["name"] == v1alpha1.GroupVersion().Version {
			return fields["schema"]
		}
	}
	return nil
}
