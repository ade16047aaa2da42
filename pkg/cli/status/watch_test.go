package status

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/cluster"
	"github.com/jindo-io/jindo/pkg/cli/iostreams"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/test/cli/clitest"
	"github.com/jindo-io/jindo/test/cli/reporttest"
)

func pair(phase v1alpha1.DatasetPhase) *v1alpha1.Dataset {
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Name: "hbase", Namespace: "default"}}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://test-bucket/", Name: "hadoop"}}
	d.Status.Phase = phase
	return d
}

// watching runs status -w over an API server until the test ends it.
func watching(t *testing.T, server *clitest.Server, args ...string) (screen *clitest.Buffer, end func()) {
	t.Helper()
	screen = &clitest.Buffer{}
	s := &session.Session{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: screen, ErrOut: screen},
		Getenv:  func(string) string { return "" }, Name: "kubectl jindo",
		Source: func(s *session.Session) (report.Source, error) { return cluster.New(s) },
	}
	cmd := New(s)
	s.AddFlags(cmd.Flags())
	server.Use(t, s)
	return screen, clitest.Follow(t, cmd, append([]string{"-w"}, args...)...)
}

func asked(server *clitest.Server, verb, resource string) int {
	count := 0
	for _, r := range server.Requests() {
		if r.Verb == verb && (resource == "" || r.Resource == resource) {
			count++
		}
	}
	return count
}

func put(t *testing.T, server *clitest.Server, phase v1alpha1.DatasetPhase) {
	t.Helper()
	if err := server.Put(pair(phase)); err != nil {
		t.Fatal(err)
	}
}

func TestWatchSeesAChangeWithoutAnInterval(t *testing.T) {
	server := clitest.New(t, pair(v1alpha1.NotBoundDatasetPhase))
	screen, end := watching(t, server, "--interval=1h", "-A")
	defer end()
	// The watches begin with what there is, and that is one more look.
	clitest.Eventually(t, "three watches and two looks", func() bool {
		return asked(server, "watch", "") == 3 && asked(server, "list", "jindoruntimes") >= 2
	})
	put(t, server, v1alpha1.FailedDatasetPhase)
	clitest.Eventually(t, "the change", func() bool { return strings.Contains(screen.String(), "Failed") })
	looks := asked(server, "list", "jindoruntimes")
	for range 50 {
		put(t, server, v1alpha1.FailedDatasetPhase) // the version changes, and nothing that is shown
	}
	put(t, server, v1alpha1.UpdatingDatasetPhase)
	clitest.Eventually(t, "the last of many changes", func() bool { return strings.Contains(screen.String(), "Updating") })
	if more := asked(server, "list", "jindoruntimes") - looks; more > 25 {
		t.Errorf("%d looks for 51 changes at once", more)
	}
	if n := strings.Count(screen.String(), "Failed"); n != 1 {
		t.Errorf("an equal screen was written %d times:\n%s", n, screen)
	}
}

func TestWatchAsksWhereItMayNotWatch(t *testing.T) {
	server := clitest.New(t, pair(v1alpha1.NotBoundDatasetPhase))
	server.Forbid(clitest.Match{Verb: "watch", Resource: "pods"})
	screen, end := watching(t, server, "--interval=20ms", "-A")
	defer end()
	clitest.Eventually(t, "looks", func() bool { return asked(server, "list", "jindoruntimes") >= 5 })
	put(t, server, v1alpha1.FailedDatasetPhase)
	clitest.Eventually(t, "the change", func() bool { return strings.Contains(screen.String(), "Failed") })
	if n := asked(server, "watch", "pods"); n != 1 {
		t.Errorf("it asked %d times for what it may not do", n)
	}
}

// TestWatchEndsWhileNothingAnswers: a watch that hangs keeps nobody.
func TestWatchEndsWhileNothingAnswers(t *testing.T) {
	server := clitest.New(t, pair(v1alpha1.NotBoundDatasetPhase))
	server.Hang(clitest.Match{Verb: "watch"})
	screen, end := watching(t, server, "--interval=1h", "-A")
	clitest.Eventually(t, "a screen", func() bool { return strings.Contains(screen.String(), "hbase") })
	end()
}

func TestWatchBeginsAgain(t *testing.T) {
	source := &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}
	o := &options{session: &session.Session{
		Streams: genericiooptions.IOStreams{Out: &clitest.Buffer{}}, Getenv: func(string) string { return "" },
	}, format: output.New(output.Table), interval: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks, follows := 0, atomic.Int32{}
	d := &redraw{options: o, look: func(ctx context.Context) (screenful, error) {
		looks++
		reports, one, err := o.collect(ctx, source, nil)
		return screenful{reports, one}, err
	}, follow: func(context.Context, func()) error {
		if follows.Add(1) == 3 {
			cancel()
			return errors.New("enough")
		}
		return nil // as API servers end watches now and then
	}}
	if err := d.run(ctx); err != nil || follows.Load() != 3 || looks < 3 {
		t.Errorf("error %v, %d watches, %d looks", err, follows.Load(), looks)
	}
}

func TestAgesGoOnWithoutALook(t *testing.T) {
	screen := &clitest.Buffer{}
	o := &options{session: &session.Session{
		Streams: genericiooptions.IOStreams{Out: screen}, Getenv: func(string) string { return "" },
	}, format: output.New(output.Table), interval: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	var looks atomic.Int32
	d := &redraw{options: o, screen: iostreams.Screen{TTY: true}, look: func(context.Context) (screenful, error) {
		looks.Add(1)
		r := reporttest.Unserved()
		now := metav1.Now()
		r.Created, r.Collected = &now, now
		return screenful{[]report.Runtime{*r}, true}, nil
	}}
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	clitest.Eventually(t, "a second screen", func() bool { return strings.Count(screen.String(), "\x1b[H") >= 2 })
	cancel()
	if err := <-done; err != nil || looks.Load() != 1 {
		t.Errorf("error %v after %d looks, want one", err, looks.Load())
	}
	if !strings.HasSuffix(screen.String(), "\x1b[?1049l") {
		t.Errorf("the terminal is left as it was drawn on: %q", screen)
	}
}
