package get

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

// await waits until a text has been printed that many times.
func await(t *testing.T, p *clitest.Buffer, text string, times int) {
	t.Helper()
	clitest.Eventually(t, fmt.Sprintf("%q, %d times", text, times), func() bool { return strings.Count(p.String(), text) == times })
}

func dataset(name string, phase v1alpha1.DatasetPhase) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://test-bucket/", Name: "hadoop"}}
	d.Status.Phase = phase
	return d
}

// watching runs get -w until the end of the test.
func watching(t *testing.T, server *clitest.Server, args ...string) (out, errOut *clitest.Buffer) {
	t.Helper()
	out, errOut = &clitest.Buffer{}, &clitest.Buffer{}
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
	}
	cmd := New(s)
	s.AddFlags(cmd.Flags())
	server.Use(t, s)
	t.Cleanup(clitest.Follow(t, cmd, append([]string{"datasets", "-w"}, args...)...))
	return out, errOut
}

func put(t *testing.T, server *clitest.Server, d *v1alpha1.Dataset) {
	t.Helper()
	if err := server.Put(d); err != nil {
		t.Fatal(err)
	}
}

func TestWatchPrintsChanges(t *testing.T) {
	server := clitest.New(t, dataset("calm", v1alpha1.BoundDatasetPhase), dataset("lively", v1alpha1.NotBoundDatasetPhase))
	out, _ := watching(t, server)
	await(t, out, "lively", 1)
	put(t, server, dataset("lively", v1alpha1.FailedDatasetPhase))
	await(t, out, "Failed", 1)
	put(t, server, dataset("late", v1alpha1.BoundDatasetPhase))
	await(t, out, "late", 1)
	text := out.String()
	if strings.Count(text, "NAME") != 1 || strings.Count(text, "calm") != 1 || strings.Count(text, "lively") != 2 {
		t.Errorf("titles and rows that did not change are printed again:\n%s", text)
	}
}

func TestWatchOfOneByName(t *testing.T) {
	server := clitest.New(t, dataset("calm", v1alpha1.BoundDatasetPhase), dataset("lively", v1alpha1.NotBoundDatasetPhase))
	out, errOut := watching(t, server, "lively", "-o", "json")
	await(t, out, `"lively"`, 1)
	if strings.Contains(out.String(), "calm") {
		t.Errorf("another is printed:\n%s", out)
	}
	put(t, server, dataset("calm", v1alpha1.FailedDatasetPhase))
	if err := server.Drop(dataset("lively", "")); err != nil {
		t.Fatal(err)
	}
	await(t, errOut, "lively was deleted", 1)
	put(t, server, dataset("lively", v1alpha1.BoundDatasetPhase))
	await(t, out, `"lively"`, 2)
	for decoder := json.NewDecoder(strings.NewReader(out.String())); decoder.More(); {
		var d v1alpha1.Dataset
		if err := decoder.Decode(&d); err != nil || d.Kind != "Dataset" || d.Name != "lively" {
			t.Errorf("%s of %q, %v", d.Name, d.Kind, err)
		}
	}
}
