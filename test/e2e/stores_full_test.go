//go:build full

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// secretDataset names a Secret for its credentials.
const secretDataset = `
apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: hbase}
spec:
  mounts:
    - mountPoint: oss://BUCKET/
      name: hadoop
      options: {fs.oss.endpoint: ENDPOINT}
      encryptOptions:
        - {name: fs.oss.accessKeyId, valueFrom: {secretKeyRef: {name: keys, key: id}}}
        - {name: fs.oss.accessKeySecret, valueFrom: {secretKeyRef: {name: keys, key: secret}}}
`

// TestStoreRecovers checks that a condition of the Dataset reports the error of a
// store, and that the Dataset recovers when the store does.
func TestStoreRecovers(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "stores")
	c.bucket(t)
	manifest := strings.NewReplacer("BUCKET", "test-bucket", "ENDPOINT", c.env["OSS_ENDPOINT"]).Replace(secretDataset)
	c.create(t, namespace, manifest)
	c.create(t, namespace, small)
	c.reports(t, namespace, "keys") // no such Secret
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "keys"},
		StringData: map[string]string{"id": c.env["OSS_ACCESS_KEY_ID"], "secret": "wrong"},
	}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.reports(t, namespace, "oss://test-bucket") // credentials refused
	secret.StringData = map[string]string{"secret": c.env["OSS_ACCESS_KEY_SECRET"]}
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")

	// The Secret is deleted under the reader, which continues.
	if err := c.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	c.reports(t, namespace, "keys")
	w.readOn(t, 300)
	w.unharmed(t)
	c.job(t, namespace, "read", "hbase", "/hadoop")
}

func TestBucketMissing(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "no-bucket")
	c.create(t, namespace, strings.ReplaceAll(c.seedDataset(), "test-bucket", "no-such-bucket"))
	c.create(t, namespace, small)
	c.reports(t, namespace, "no-such-bucket")
}

// TestOneMountRefuses checks that a mount whose bucket does not exist is reported, and
// takes away no other mount: the Dataset becomes Bound, the reader of the other mount is
// not disturbed, and every file below the refusing one fails. The mount works once it
// names a bucket that exists.
func TestOneMountRefuses(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "one-refuses")
	c.bucket(t)
	c.create(t, namespace, c.seedDataset())
	c.editDataset(t, namespace, func(spec *v1alpha1.DatasetSpec) {
		other := *spec.Mounts[0].DeepCopy()
		other.Name, other.MountPoint = "other", "oss://no-such-bucket/"
		spec.Mounts = append(spec.Mounts, other)
	})
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	c.reports(t, namespace, "no-such-bucket")
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	refused := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "refused"}, Spec: readerSpec("hbase", "/other", "-watch"),
	}
	if err := c.Create(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	eventually(t, "reads below the refusing mount fail", func(ctx context.Context) error {
		s, err := (&watcher{c, namespace, "refused"}).seen(ctx)
		if err != nil {
			return err
		}
		if s.Failed == 0 {
			return fmt.Errorf("%+v", s)
		}
		if s.Wrong > 0 {
			t.Fatalf("%+v", s)
		}
		t.Logf("the errors of the refusing mount: %v", s.Errors)
		return nil
	})
	c.remove(t, refused)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)

	c.editDataset(t, namespace, func(spec *v1alpha1.DatasetSpec) { spec.Mounts[1].MountPoint = spec.Mounts[0].MountPoint })
	c.kubectl(t, "wait", "--for=condition=MountsReady", "dataset/hbase", "-n", namespace, "--timeout=120s")
	c.job(t, namespace, "read-other", "hbase", "/other")
	w.readOn(t, 200)
	w.unharmed(t)
}

// reports waits until a false condition of the Dataset contains the words.
func (c *cluster) reports(t *testing.T, namespace, words string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the Dataset reports %q", words), func(ctx context.Context) error {
		d := &v1alpha1.Dataset{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "hbase"}, d); err != nil {
			return err
		}
		for _, condition := range d.Status.Conditions {
			if condition.Status == corev1.ConditionFalse && strings.Contains(condition.Message, words) {
				t.Logf("%s: %s", condition.Type, condition.Message)
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", d.Status.Conditions)
	})
}

// TestS3 reads an s3:// mount.
func TestS3(t *testing.T) {
	t.Parallel()
	c := connect(t)
	if c.env["S3_ENDPOINT"] == "" {
		t.Fatal("no S3_ENDPOINT is given")
	}
	namespace := c.namespace(t, "s3")
	c.s3bucket(t)
	c.create(t, namespace, strings.NewReplacer(
		"oss://test-bucket/", "s3://test-bucket/", "fs.oss.endpoint", "fs.s3.region: "+c.env["S3_REGION"]+"\n        fs.s3.endpoint", "fs.oss.", "fs.s3.",
		"<OSS_ACCESS_KEY_ID>", c.env["S3_ACCESS_KEY_ID"],
		"<OSS_ACCESS_KEY_SECRET>", c.env["S3_ACCESS_KEY_SECRET"],
		"<OSS_ENDPOINT>", c.env["S3_ENDPOINT"],
	).Replace(samples.Dataset))
	c.create(t, namespace, small)
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	c.job(t, namespace, "read", "hbase", "/hadoop")
}
