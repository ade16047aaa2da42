package get

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clitest"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

const patience = time.Minute

// paper can be read while it is written on.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// await a text, so many times.
func (p *paper) await(t *testing.T, text string, times int) {
	t.Helper()
	for end := time.Now().Add(patience); strings.Count(p.String(), text) != times; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q is there %d times, want %d:\n%s", text, strings.Count(p.String(), text), times, p)
		}
	}
}

func dataset(name string, phase v1alpha1.DatasetPhase) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://test-bucket/", Name: "hadoop"}}
	d.Status.Phase = phase
	return d
}

// watching runs get -w until the test ends.
func watching(t *testing.T, server *clitest.Server, args ...string) (out, said *paper) {
	t.Helper()
	out, said = &paper{}, &paper{}
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: said},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo", Connect: server.Connect,
	}
	cmd := New(s)
	s.AddFlags(cmd.Flags())
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"datasets", "-w"}, args...))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("it does not end")
		}
	})
	return out, said
}

func put(t *testing.T, server *clitest.Server, d *v1alpha1.Dataset) {
	t.Helper()
	if err := server.Put(d); err != nil {
		t.Fatal(err)
	}
}

func TestWatchPrintsWhatChanges(t *testing.T) {
	server := clitest.New(t, dataset("calm", v1alpha1.BoundDatasetPhase), dataset("lively", v1alpha1.NotBoundDatasetPhase))
	out, _ := watching(t, server)
	out.await(t, "lively", 1)
	put(t, server, dataset("lively", v1alpha1.FailedDatasetPhase))
	out.await(t, "Failed", 1)
	put(t, server, dataset("late", v1alpha1.BoundDatasetPhase))
	out.await(t, "late", 1)
	text := out.String()
	if strings.Count(text, "NAME") != 1 || strings.Count(text, "calm") != 1 || strings.Count(text, "lively") != 2 {
		t.Errorf("titles and rows that did not change are printed again:\n%s", text)
	}
}

func TestWatchOfOneByName(t *testing.T) {
	server := clitest.New(t, dataset("calm", v1alpha1.BoundDatasetPhase), dataset("lively", v1alpha1.NotBoundDatasetPhase))
	out, said := watching(t, server, "lively", "-o", "json")
	out.await(t, `"lively"`, 1)
	if strings.Contains(out.String(), "calm") {
		t.Errorf("another is printed:\n%s", out)
	}
	put(t, server, dataset("calm", v1alpha1.FailedDatasetPhase))
	if err := server.Drop(dataset("lively", "")); err != nil {
		t.Fatal(err)
	}
	said.await(t, "lively is gone", 1)
	put(t, server, dataset("lively", v1alpha1.BoundDatasetPhase))
	out.await(t, `"lively"`, 2)
	for decoder := json.NewDecoder(strings.NewReader(out.String())); decoder.More(); {
		var d v1alpha1.Dataset
		if err := decoder.Decode(&d); err != nil || d.Kind != "Dataset" || d.Name != "lively" {
			t.Errorf("%s of %q, %v", d.Name, d.Kind, err)
		}
	}
}
