package output_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/output"
)

func format(t *testing.T, value string) *output.Format {
	t.Helper()
	f := output.New(output.Table)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.AddFlag(flags)
	if err := flags.Parse([]string{"-o", value}); err != nil {
		t.Fatal(err)
	}
	return f
}

func dataset(name string, phase v1alpha1.DatasetPhase) v1alpha1.Dataset {
	d := v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: name}}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://a/"}, {MountPoint: "oss://b/"}}
	d.Status.Phase = phase
	return d
}

func TestCustomColumns(t *testing.T) {
	one := dataset("hbase", v1alpha1.BoundDatasetPhase)
	list := v1alpha1.DatasetList{Items: []v1alpha1.Dataset{one, dataset("new", "")}}
	for name, test := range map[string]struct {
		columns   string
		object    runtime.Object
		noHeaders bool
		want      string
	}{
		"an object":      {"NAME:.metadata.name,PHASE:.status.phase", &one, false, "NAME   PHASE\nhbase  Bound\n"},
		"a list":         {"NAME:{.metadata.name},PHASE:status.phase", &list, false, "NAME   PHASE\nhbase  Bound\nnew    <none>\n"},
		"several values": {"URI:.spec.mounts[*].mountPoint", &one, false, "URI\noss://a/,oss://b/\n"},
		"no headers":     {"NAME:.metadata.name", &list, true, "hbase\nnew\n"},
	} {
		f := format(t, "custom-columns="+test.columns)
		f.NoHeaders = test.noHeaders
		var out bytes.Buffer
		if err := f.Print(&out, test.object); err != nil || out.String() != test.want {
			t.Errorf("%s: %q, %v, want %q", name, out.String(), err, test.want)
		}
	}
}

func TestInvalidFormats(t *testing.T) {
	for value, want := range map[string]string{
		"xml":                     `unknown output format "xml"`,
		"jsonpath":                "needs a template",
		"jsonpath={":              "invalid template",
		"go-template=":            "needs a template",
		"custom-columns=":         "want TITLE:.path",
		"custom-columns=NAME":     "want TITLE:.path",
		"custom-columns=NAME:.a[": "invalid path",
		"custom-columns=A:.a,B:":  "want TITLE:.path",
	} {
		if err := format(t, value).Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "<nil>") {
			t.Errorf("-o %s: %v, want %q", value, err, want)
		}
	}
}

// TestTemplateErrors checks that a template that fails prints its cause only, and
// that a field that an object lacks prints nothing, as for kubectl.
func TestTemplateErrors(t *testing.T) {
	one := dataset("hbase", "")
	for value, want := range map[string]string{
		"jsonpath={.spec.mounts[7].name}":              "array index out of bounds: index 7, length 2",
		"go-template={{index .spec.mounts 7}}":         "<index .spec.mounts 7>: error calling index: index out of range: 7",
		"go-template=a{{.metadata.name.more.letters}}": "can't evaluate field more",
	} {
		var out bytes.Buffer
		err := format(t, value).Print(&out, &one)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hbase") || strings.Contains(err.Error(), "\n") {
			t.Errorf("-o %s: error %v, want %q", value, err, want)
		}
		if out.Len() > 0 {
			t.Errorf("-o %s printed %q", value, out.String())
		}
	}
	var out bytes.Buffer
	if err := format(t, "jsonpath=<{.status.none}>").Print(&out, &one); err != nil || out.String() != "<>" {
		t.Errorf("a field that is absent: %q, %v", out.String(), err)
	}
}
