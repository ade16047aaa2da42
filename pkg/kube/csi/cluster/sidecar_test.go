package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/jindo-io/jindo/pkg/kube/csi/records"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func withSidecar(name string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "u"},
		Spec: corev1.PodSpec{
			NodeName:       "node-a",
			InitContainers: []corev1.Container{{Name: "mesh"}, {Name: names.SidecarContainer, RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}},
			Containers:     []corev1.Container{{Name: "app"}},
			Volumes: []corev1.Volume{{Name: "other"}, {Name: names.SidecarVolume, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
				Driver:           names.Driver,
				VolumeAttributes: map[string]string{names.AttributeRole: names.RoleSidecar, names.AttributeVolumes: "ns-a,ns-b"},
			}}}},
		},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func TestSidecar(t *testing.T) {
	objects := []runtime.Object{
		withSidecar("has", nil),
		withSidecar("plain", func(p *corev1.Pod) { p.Spec = corev1.PodSpec{NodeName: "node-a"} }),
		withSidecar("ends", func(p *corev1.Pod) { p.Spec.InitContainers[1].RestartPolicy = nil }),
		withSidecar("misses-its-volume", func(p *corev1.Pod) { p.Spec.Volumes = nil }),
		withSidecar("of-another-driver", func(p *corev1.Pod) { p.Spec.Volumes[1].CSI.Driver = "other" }),
		withSidecar("of-another-role", func(p *corev1.Pod) { p.Spec.Volumes[1].CSI.VolumeAttributes[names.AttributeRole] = names.RoleFuse }),
		withSidecar("other-uid", func(p *corev1.Pod) { p.UID = "v" }),
	}
	client := fake.NewClientset(objects...)
	gets := 0
	client.PrependReactor("get", "pods", func(ktesting.Action) (bool, runtime.Object, error) { gets++; return false, nil, nil })
	c, err := New(client, nil, "node-a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T) {
		for name, want := range map[string][]string{
			"has": {"ns-a", "ns-b"}, "plain": nil, "ends": nil, "misses-its-volume": nil, "of-another-driver": nil, "of-another-role": nil,
		} {
			got, err := c.Sidecar(t.Context(), records.Pod{Namespace: "ns", Name: name, UID: "u"})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s serves %v, %v", name, got, err)
			}
		}
	}
	t.Run("live", check)
	for name, want := range map[string]string{"other-uid": "another pod has the same name", "gone": "not found"} {
		if _, err := c.Sidecar(t.Context(), records.Pod{Namespace: "ns", Name: name, UID: "u"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(t, "the pod cache has synced", c.pods.HasSynced)
	gets = 0
	t.Run("cached", check)
	if gets > 0 {
		t.Errorf("%d GET requests for cached pods", gets)
	}
	client.PrependReactor("get", "pods", func(ktesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("unavailable") })
	if _, err := c.Sidecar(t.Context(), records.Pod{Namespace: "ns", Name: "new", UID: "u"}); err == nil || !strings.Contains(err.Error(), "ns/new") {
		t.Errorf("Sidecar returned %v, want an error that names the pod", err)
	}
}
