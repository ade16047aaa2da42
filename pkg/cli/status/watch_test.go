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
	"github.com/jindo-io/jindo/pkg/cli/clierror"
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

// watching runs status -w against an API server until end is called.
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

func requests(server *clitest.Server, verb, resource string) int {
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

func TestWatchShowsAChangeBeforeTheInterval(t *testing.T) {
	server := clitest.New(t, pair(v1alpha1.NotBoundDatasetPhase))
	screen, end := watching(t, server, "--interval=1h", "-A")
	defer end()
	// The watches begin with the existing objects, which causes one more collection.
	clitest.Eventually(t, "three watches and two collections", func() bool {
		return requests(server, "watch", "") == 3 && requests(server, "list", "jindoruntimes") >= 2
	})
	put(t, server, v1alpha1.FailedDatasetPhase)
	clitest.Eventually(t, "the change", func() bool { return strings.Contains(screen.String(), "Failed") })
	collections, begin := requests(server, "list", "jindoruntimes"), time.Now()
	for range 50 {
		put(t, server, v1alpha1.FailedDatasetPhase) // only the version changes, which is not shown
	}
	put(t, server, v1alpha1.UpdatingDatasetPhase)
	clitest.Eventually(t, "the last of many changes", func() bool { return strings.Contains(screen.String(), "Updating") })
	more, took := requests(server, "list", "jindoruntimes")-collections, time.Since(begin)
	if more > int(took/settle)+2 {
		t.Errorf("%d collections for 51 changes in a burst of %s, one each %s", more, took, settle)
	}
	if n := strings.Count(screen.String(), "Failed"); n != 1 {
		t.Errorf("an equal screen was printed %d times:\n%s", n, screen)
	}
}

func TestWatchPollsWhereWatchingIsForbidden(t *testing.T) {
	server := clitest.New(t, pair(v1alpha1.NotBoundDatasetPhase))
	server.Forbid(clitest.Match{Verb: "watch", Resource: "pods"})
	screen, end := watching(t, server, "--interval=20ms", "-A")
	defer end()
	clitest.Eventually(t, "collections", func() bool { return requests(server, "list", "jindoruntimes") >= 5 })
	put(t, server, v1alpha1.FailedDatasetPhase)
	clitest.Eventually(t, "the change", func() bool { return strings.Contains(screen.String(), "Failed") })
	if n := requests(server, "watch", "pods"); n != 1 {
		t.Errorf("%d watches of pods, want one", n)
	}
}

// TestWatchEndsDuringASilentWatch: a watch without a response does not block the end.
func TestWatchEndsDuringASilentWatch(t *testing.T) {
	server := clitest.New(t, pair(v1alpha1.NotBoundDatasetPhase))
	server.Hang(clitest.Match{Verb: "watch"})
	screen, end := watching(t, server, "--interval=1h", "-A")
	clitest.Eventually(t, "a screen", func() bool { return strings.Contains(screen.String(), "hbase") })
	end()
}

func TestWatchRestarts(t *testing.T) {
	source := &reporttest.Source{Reports: []*report.Runtime{reporttest.Healthy()}}
	o := &options{session: &session.Session{
		Streams: genericiooptions.IOStreams{Out: &clitest.Buffer{}}, Getenv: func(string) string { return "" },
	}, format: output.New(output.Table), interval: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	collections, follows := 0, atomic.Int32{}
	d := &watcher{options: o, collect: func(ctx context.Context) (snapshot, error) {
		collections++
		reports, one, err := o.collect(ctx, source, nil)
		return snapshot{reports, one}, err
	}, follow: func(context.Context, func()) error {
		if follows.Add(1) == 3 {
			cancel()
			return errors.New("enough")
		}
		return nil // API servers end watches from time to time
	}}
	if err := d.run(ctx, nil); err != nil || follows.Load() != 3 || collections < 3 {
		t.Errorf("error %v, %d watches, %d collections", err, follows.Load(), collections)
	}
}

func TestAgesAreUpdatedWithoutACollection(t *testing.T) {
	screen := &clitest.Buffer{}
	o := &options{session: &session.Session{
		Streams: genericiooptions.IOStreams{Out: screen}, Getenv: func(string) string { return "" },
	}, format: output.New(output.Table), interval: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	var collections atomic.Int32
	d := &watcher{options: o, screen: iostreams.Screen{TTY: true}, collect: func(context.Context) (snapshot, error) {
		collections.Add(1)
		r := reporttest.Unserved()
		now := metav1.Now()
		r.Created, r.Collected = &now, now
		return snapshot{[]report.Runtime{*r}, true}, nil
	}}
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, nil) }()
	clitest.Eventually(t, "a second screen", func() bool { return strings.Count(screen.String(), "\x1b[H") >= 2 })
	cancel()
	if err := <-done; err != nil || collections.Load() != 1 {
		t.Errorf("error %v after %d collections, want one", err, collections.Load())
	}
	if !strings.HasSuffix(screen.String(), "\x1b[?1049l") {
		t.Errorf("the command did not leave the alternate screen: %q", screen)
	}
}

// TestUntilTimesOut: the timeout ends the watch with the cause and exit code 4.
func TestUntilTimesOut(t *testing.T) {
	source := &reporttest.Source{Reports: []*report.Runtime{reporttest.Degraded()}}
	_, stderr, code := run(t, source, "-w", "--until=healthy", "--timeout=1ms", "--interval=1h")
	if code != clierror.TimedOut || !strings.Contains(stderr, "default/hadoop is Degraded: /hadoop: 403") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// TestUntilWaitsForTheFirstRuntime: an empty namespace is not healthy.
func TestUntilWaitsForTheFirstRuntime(t *testing.T) {
	_, stderr, code := run(t, &reporttest.Source{}, "-w", "--until=healthy", "--timeout=1ms", "--interval=1h")
	if code != clierror.TimedOut || !strings.Contains(stderr, "nothing to wait for") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
