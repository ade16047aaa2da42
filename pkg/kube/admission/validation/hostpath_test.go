package validation

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/hostpath"
)

// The samples use directories of nodes that a new installation allows.
func TestSamplesUseAllowedDirectories(t *testing.T) {
	runtimes := 0
	for _, pattern := range []string{"../../../../manifests/samples/*.yaml", "../../../api/v1alpha1/testdata/*-jindoruntime.yaml", "../../../api/v1alpha1/testdata/seed-*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no manifests in %s: %v", pattern, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := v1alpha1.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects {
				if runtime, is := o.(*v1alpha1.JindoRuntime); is {
					runtimes++
					if errs, warnings := CheckHostPaths(hostpath.Policy{}, nil, runtime); len(errs)+len(warnings) > 0 {
						t.Errorf("%s: %v, warnings %q", file, errs, warnings)
					}
				}
			}
		}
	}
	if runtimes < 3 {
		t.Errorf("%d JindoRuntimes in the samples", runtimes)
	}
}
