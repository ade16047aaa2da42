package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
)

// testTimeout bounds waits; no test asserts it.
const testTimeout = 30 * time.Second

func eventually(t *testing.T, description string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout waiting for: %s", description)
		}
	}
}

func run(t *testing.T, client *fake.Clientset) *Cluster {
	t.Helper()
	c, err := New(client, nil, "node-a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func TestLabelNode(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a", Labels: map[string]string{"other": "x"}}}
	client := fake.NewClientset(node)
	c := run(t, client)
	labels := func() map[string]string {
		got, err := client.CoreV1().Nodes().Get(t.Context(), "node-a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Labels
	}
	for range 2 {
		if err := c.LabelNode(t.Context(), "fluid.io/f-ns-hadoop", true); err != nil {
			t.Fatal(err)
		}
	}
	if got := labels(); got["fluid.io/f-ns-hadoop"] != "true" || got["other"] != "x" {
		t.Errorf("labels %v", got)
	}
	for range 2 {
		if err := c.LabelNode(t.Context(), "fluid.io/f-ns-hadoop", false); err != nil {
			t.Fatal(err)
		}
	}
	if got := labels(); len(got) != 1 {
		t.Errorf("labels %v", got)
	}
	client.PrependReactor("patch", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("unavailable")
	})
	if err := c.LabelNode(t.Context(), "x", true); err == nil || !strings.Contains(err.Error(), "node-a") {
		t.Errorf("LabelNode returned %v, want an error that names the node", err)
	}
}

func TestTerminating(t *testing.T) {
	now := metav1.Now()
	pod := func(name string, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "u"}, Spec: corev1.PodSpec{NodeName: "node-a"}}
		if change != nil {
			change(p)
		}
		return p
	}
	client := fake.NewClientset(pod("runs", nil), pod("deleted", func(p *corev1.Pod) {
		p.DeletionTimestamp, p.Finalizers = &now, []string{"x/y"}
	}), pod("again", func(p *corev1.Pod) { p.UID = "other" }))
	c, err := New(client, nil, "node-a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if c.Terminating(records.Pod{Namespace: "ns", Name: "gone", UID: "u"}) {
		t.Error("a pod counts as terminating before the cache has synced")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(t, "the pod cache has synced", c.pods.HasSynced)
	for name, want := range map[string]bool{"runs": false, "deleted": true, "again": true, "gone": true} {
		if got := c.Terminating(records.Pod{Namespace: "ns", Name: name, UID: "u"}); got != want {
			t.Errorf("pod %s: terminating = %v, want %v", name, got, want)
		}
	}
	if c.Terminating(records.Pod{}) {
		t.Error("a pod without a name is terminating")
	}
}

func TestRecordEvent(t *testing.T) {
	client := fake.NewClientset()
	c := run(t, client)
	c.RecordEvent(records.Pod{}, "NoPod", "ignored")
	// The recorder drops events until it runs.
	eventually(t, "the event exists", func() bool {
		c.RecordEvent(records.Pod{Namespace: "ns", Name: "p", UID: "u"}, "MountEnded", "why")
		list, err := client.CoreV1().Events("ns").List(t.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) > 0 && list.Items[0].InvolvedObject.UID == "u" && list.Items[0].Reason == "MountEnded"
	})
}
