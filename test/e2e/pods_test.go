package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/test/dataset"
)

// set is the data set of the tests, the default of test/e2e/reader.
var set = dataset.Options{Files: 100, Large: 2, LargeSize: 8 << 20, SmallSize: 64 << 10}

// bucket writes the data set into the bucket of the samples.
func (c *cluster) bucket(t *testing.T) {
	t.Helper()
	fill(t, c.env["OSS_DIRECTORY"])
}

// s3bucket writes the data set into the bucket of the S3 store.
func (c *cluster) s3bucket(t *testing.T) {
	t.Helper()
	fill(t, c.env["S3_DIRECTORY"])
}

// filling serializes writes of a bucket: objects that are written twice change under
// their readers.
var filling sync.Mutex

func fill(t *testing.T, dir string) {
	t.Helper()
	filling.Lock()
	defer filling.Unlock()
	if dir == "" {
		return // the bucket of a foreign cluster was filled before
	}
	if _, err := os.Stat(filepath.Join(dir, dataset.Sums)); err == nil {
		return
	}
	if err := dataset.Write(dir, dataset.Plan(set)); err != nil {
		t.Fatal(err)
	}
}

// seedDataset returns the sample Dataset with its placeholders replaced.
func (c *cluster) seedDataset() string {
	return strings.NewReplacer(
		"<OSS_ACCESS_KEY_ID>", c.env["OSS_ACCESS_KEY_ID"],
		"<OSS_ACCESS_KEY_SECRET>", c.env["OSS_ACCESS_KEY_SECRET"],
		"<OSS_ENDPOINT>", c.env["OSS_ENDPOINT"],
	).Replace(samples.Dataset)
}

// claim returns the volume of a Dataset in a pod.
func claim(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name, ReadOnly: true},
	}}
}

// readerSpec returns a pod that reads a claim at /data/hadoop.
func readerSpec(claimName, mount string, args ...string) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: new(int64(10)),
		Containers: []corev1.Container{{
			Name: "reader", Image: readerImage, ImagePullPolicy: corev1.PullIfNotPresent,
			Command:      []string{"/reader"},
			Args:         append([]string{"-root=/data" + mount}, args...),
			VolumeMounts: []corev1.VolumeMount{{Name: claimName, MountPath: "/data", ReadOnly: true}},
		}},
		Volumes: []corev1.Volume{claim(claimName)},
	}
}

// watcher is a pod that reads until it is deleted.
type watcher struct {
	c               *cluster
	namespace, name string
}

// watch starts a watcher and waits until it has read.
func (c *cluster) watch(t *testing.T, namespace, name, claimName, mount, node string) *watcher {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       readerSpec(claimName, mount, "-watch"),
	}
	if node != "" {
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	w := &watcher{c, namespace, name}
	w.readOn(t, 200)
	return w
}

// seen is the last line of a reader.
type seen struct {
	Reads, Failed, Wrong int64
	Worst                int64    `json:"worstMilliseconds"`
	Errors               []string `json:"errors"`
	Final                bool     `json:"final"`
}

func (w *watcher) seen(ctx context.Context) (seen, error) {
	out, err := w.c.run(ctx, "", "logs", "-n", w.namespace, w.name, "--tail=1")
	if err != nil {
		return seen{}, err
	}
	var s seen
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return seen{}, fmt.Errorf("pod %s printed %q: %w", w.name, out, err)
	}
	return s, nil
}

// readOn waits for a number of further reads.
func (w *watcher) readOn(t *testing.T, reads int64) {
	t.Helper()
	want := int64(-1)
	eventually(t, fmt.Sprintf("pod %s reads on", w.name), func(ctx context.Context) error {
		s, err := w.seen(ctx)
		if err != nil {
			return err
		}
		if want < 0 {
			want = s.Reads + reads
		}
		if s.Reads < want {
			return fmt.Errorf("%d reads of %d: %v", s.Reads, want, s.Errors)
		}
		return nil
	})
}

// unharmed ends the test unless every read so far succeeded with the right bytes.
func (w *watcher) unharmed(t *testing.T) {
	t.Helper()
	var s seen
	eventually(t, "output of the reader", func(ctx context.Context) (err error) {
		s, err = w.seen(ctx)
		return err
	})
	if s.Failed+s.Wrong > 0 {
		t.Fatalf("of %d reads %d failed and %d were wrong: %v", s.Reads, s.Failed, s.Wrong, s.Errors)
	}
	t.Logf("pod %s: %d reads, none failed, none wrong, worst stall %d ms", w.name, s.Reads, s.Worst)
}

// remove deletes an object and waits until it no longer exists.
func (c *cluster) remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := c.Delete(t.Context(), object); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	c.waitDeleted(t, object)
}

func (c *cluster) waitDeleted(t *testing.T, object client.Object) {
	t.Helper()
	eventually(t, fmt.Sprintf("%T %s to be deleted", object, object.GetName()), func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return client.IgnoreNotFound(err)
		}
		return errors.New("it still exists")
	})
}

// job runs the reader once over all files in a Job, and waits for its completion.
func (c *cluster) job(t *testing.T, namespace, name, claimName, mount string) {
	t.Helper()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)),
			Template:     corev1.PodTemplateSpec{Spec: readerSpec(claimName, mount)},
		},
	}
	if err := c.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Job "+name+" is complete", func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		for _, condition := range job.Status.Conditions {
			if condition.Type == batchv1.JobComplete && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("%+v", job.Status)
	})
}

// withoutAnnotation returns a manifest without its annotations.
func withoutAnnotation(manifest string) string {
	var kept []string
	for line := range strings.SplitSeq(manifest, "\n") {
		if !strings.Contains(line, "annotations:") && !strings.Contains(line, "data.fluid.io/dataset:") && !strings.Contains(line, "# A runtime serves") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
