package runtime_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestEarlierRecordIsTakenOver: what an earlier version has carried out is taken over
// once, also if the spec was edited meanwhile. A record that its users could not have
// declared, or that belongs to another runtime, is not.
func TestEarlierRecordIsTakenOver(t *testing.T) {
	t.Parallel()
	const record = `{"masterReplicas":3,"tieredstore":{"levels":[{"mediumtype":"HDD","volumeType":"hostPath","volumeSource":{},"path":"PATH","quota":"2G","high":"0.8","low":"0.7"}]},"renderedBy":"docker.io/jindo-io/jindo:earlier"}`
	for _, test := range []struct {
		name, record string
		owner        bool
		// masters and path are those of the effective spec.
		masters  int32
		path     string
		renderer string
		event    string
	}{
		{"a record", strings.Replace(record, "PATH", "/mnt/disk1", 1), true, 3, "/mnt/disk1", "docker.io/jindo-io/jindo:earlier", ""},
		{"a directory that is not allowed", strings.Replace(record, "PATH", tenantDirectory, 1), true, 1, "/mnt/disk2", image, "which no setting can allow"},
		{"an invalid number of masters", strings.Replace(strings.Replace(record, "PATH", "/mnt/disk1", 1), `"masterReplicas":3`, `"masterReplicas":2`, 1), true, 1, "/mnt/disk2", image, "must be 1 or 3"},
		{"no JSON", "{", true, 1, "/mnt/disk2", image, "decode annotation"},
		{"of another runtime", strings.Replace(record, "PATH", "/mnt/disk1", 1), false, 1, "/mnt/disk2", image, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t)
			ns := c.startManual(t)
			c.change(t, ns, "hadoop", func(r *v1alpha1.JindoRuntime) {
				*r.Spec.Master.Replicas = 1
				r.Spec.TieredStore.Levels[0].Path = "/mnt/disk2"
			})
			r, err := c.runtime(t.Context(), ns, "hadoop")
			if err != nil {
				t.Fatal(err)
			}
			r.Status.Effective = nil
			if err := c.Status().Update(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			config := &corev1.ConfigMap{}
			c.mustGet(t, ns, names.Config("hadoop"), config)
			config.Annotations = map[string]string{"jindo.io/applied": test.record}
			if !test.owner {
				config.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.JindoRuntimeKind, Name: "hadoop", UID: "earlier", Controller: new(true)}}
			}
			if err := c.Update(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			l := c.live(t, math.MaxInt, func(client.Object) {})
			recorder := events.NewFakeRecorder(1000)
			l.Recorder = recorder
			// What is declared instead of a record may not fit the objects that exist.
			_, err = l.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(r)})
			t.Log("the pass ends with", err)
			r, err = c.runtime(t.Context(), ns, "hadoop")
			if err != nil {
				t.Fatal(err)
			}
			e := r.Status.Effective
			if *e.Runtime.Master.Replicas != test.masters || e.Runtime.TieredStore.Levels[0].Path != test.path || e.Renderer != test.renderer {
				t.Errorf("%d masters, %s, renderer %s", *e.Runtime.Master.Replicas, e.Runtime.TieredStore.Levels[0].Path, e.Renderer)
			}
			close(recorder.Events)
			var notes []string
			for note := range recorder.Events {
				notes = append(notes, note)
			}
			if got := strings.Join(notes, "\n"); test.event != "" && !strings.Contains(got, test.event) {
				t.Errorf("events %s, want %s", got, test.event)
			}
		})
	}
}

// TestForeignEffectiveSpecIsRefused: nothing is changed for an effective spec that the
// controller does not know, or that is not valid.
func TestForeignEffectiveSpecIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t)
	ns := c.startReady(t)
	before := &corev1.ConfigMap{}
	for _, test := range []struct {
		name string
		edit func(e *v1alpha1.EffectiveSpec)
		want string
	}{
		{"newer", func(e *v1alpha1.EffectiveSpec) { e.Version = 9 }, "upgrade the controllers"},
		{"invalid", func(e *v1alpha1.EffectiveSpec) { e.Version, *e.Runtime.Master.Replicas = 1, 2 }, "status.effective is not valid"},
	} {
		c.mustGet(t, ns, names.Config("hadoop"), before)
		eventually(t, func() error {
			r, err := c.runtime(t.Context(), ns, "hadoop")
			if err != nil {
				return err
			}
			if err := checkCondition(&r.Status, v1alpha1.RuntimeReady, corev1.ConditionFalse, test.want); err == nil {
				return nil
			}
			test.edit(r.Status.Effective)
			return errors.Join(errors.New("not refused yet"), c.Status().Update(t.Context(), r), c.touch(t, ns))
		})
		after := &corev1.ConfigMap{}
		c.mustGet(t, ns, names.Config("hadoop"), after)
		if after.ResourceVersion != before.ResourceVersion {
			t.Errorf("%s: the objects were changed", test.name)
		}
	}
}

// touch causes a pass.
func (c *cluster) touch(t *testing.T, ns string) error {
	t.Helper()
	pod := &corev1.Pod{}
	c.mustGet(t, ns, "hadoop-jindofs-worker-0", pod)
	pod.Annotations["touched"] = pod.ResourceVersion
	return c.Update(t.Context(), pod)
}
