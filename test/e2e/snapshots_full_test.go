//go:build full

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/manifests/samples"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// backedUp has the data of the samples, and a mount of another store that workers may
// write to.
const backedUp = `
apiVersion: data.fluid.io/v1alpha1
kind: Dataset
metadata: {name: hbase}
spec:
  accessModes: [ReadWriteMany]
  mounts:
    - mountPoint: oss://test-bucket/
      name: hadoop
      readOnly: true
      options: {fs.oss.endpoint: <OSS_ENDPOINT>, fs.oss.accessKeyId: <OSS_ACCESS_KEY_ID>, fs.oss.accessKeySecret: <OSS_ACCESS_KEY_SECRET>}
    - mountPoint: s3://test-bucket/snapshots-of-a-test/
      name: backup
      options: {fs.s3.endpoint: <S3_ENDPOINT>, fs.s3.region: <S3_REGION>, fs.s3.accessKeyId: <S3_ACCESS_KEY_ID>, fs.s3.accessKeySecret: <S3_ACCESS_KEY_SECRET>}
`

// TestScheduledSnapshots has the masters' state saved on schedule, and restores the object
// when every master has lost its disk: first into the same runtime, then into one that was
// created after the first was deleted. A pod verifies every byte.
func TestScheduledSnapshots(t *testing.T) {
	t.Parallel()
	c := connect(t)
	if c.env["S3_DIRECTORY"] == "" {
		t.Fatal("no S3_DIRECTORY is given")
	}
	namespace := c.namespace(t, "scheduled-snapshots")
	c.bucket(t)
	replace := []string{}
	for _, name := range []string{"OSS_ENDPOINT", "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "S3_ENDPOINT", "S3_REGION", "S3_ACCESS_KEY_ID", "S3_ACCESS_KEY_SECRET"} {
		replace = append(replace, "<"+name+">", c.env[name])
	}
	dataset := strings.NewReplacer(replace...).Replace(backedUp)
	c.create(t, namespace, dataset)
	c.create(t, namespace, samples.Runtime)
	first := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	w := c.watch(t, namespace, "reader", "hbase", "/hadoop", "")
	p := c.plugin(t, namespace)
	masters := c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)

	const patch = `{"spec":{"master":{"snapshots":{"mount":%q,"prefix":"masters","interval":%q,"keep":3}}}}`
	for edit, reason := range map[string]string{
		fmt.Sprintf(patch, "hadoop", "10m"): "read-only", fmt.Sprintf(patch, "nowhere", "10m"): "write backup", fmt.Sprintf(patch, "backup", "1m"): "not a valid interval",
	} {
		if out, err := c.run(t.Context(), "", "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", edit); err == nil || !strings.Contains(out+err.Error(), reason) {
			t.Errorf("%s: %s, %v; want %q", edit, out, err, reason)
		}
	}
	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", fmt.Sprintf(patch, "backup", "10m"))
	saved := c.scheduledSnapshot(t, p, first)
	for i, pod := range c.readyPods(t, namespace, "hadoop-jindofs-master-", 3) {
		if pod.UID != masters[i].UID {
			t.Errorf("pod %s was replaced by the edit", pod.Name)
		}
	}

	c.loseMasters(t, namespace, masters...)
	w.readOn(t, 100)
	t.Logf("\n%s", p.settled(t, "raft", "snapshot", "restore", "hadoop", "--file", saved, "--master", masters[0].Name))
	c.mastersReturned(t, namespace, first, w)
	// The new leader knows of the object, and does not repeat it within the interval.
	if again := c.scheduledSnapshot(t, p, first); again != saved {
		t.Errorf("the newest snapshot is %s, was %s", again, saved)
	}

	c.kubectl(t, "delete", "pod/reader", "job/after", "-n", namespace, "--cascade=foreground")
	c.kubectl(t, "delete", "jindoruntime/hadoop", "dataset/hbase", "-n", namespace, "--wait=false")
	c.waitDeleted(t, &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop"}})
	c.waitDeleted(t, &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hbase"}})
	c.create(t, namespace, dataset)
	c.create(t, namespace, samples.Runtime)
	second := c.runtimeReady(t, namespace, "hadoop").Status.Formation.ClusterID
	c.datasetPhase(t, namespace, "hbase", v1alpha1.BoundDatasetPhase)
	masters = c.readyPods(t, namespace, "hadoop-jindofs-master-", 3)
	c.loseMasters(t, namespace, masters...)
	restore := []string{"raft", "snapshot", "restore", "hadoop", "--file", saved, "--master", masters[0].Name}
	eventually(t, "a restoration of another cluster is refused", func(context.Context) error {
		if r := p.run(t, "", restore...); r.code == 0 || !strings.Contains(r.stderr, "--into-new-cluster") {
			return fmt.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		return nil
	})
	t.Logf("\n%s", p.settled(t, append(restore, "--into-new-cluster")...))
	// Its own snapshots need its workers, and leave those of the first one as they are.
	c.kubectl(t, "patch", "jindoruntime", "hadoop", "-n", namespace, "--type=merge", "-p", fmt.Sprintf(patch, "backup", "10m"))
	if own := c.scheduledSnapshot(t, p, second); own == saved {
		t.Errorf("%s is of both clusters", own)
	}
	if _, err := os.Stat(saved); err != nil {
		t.Error(err)
	}
	// The mounts have the ids of the first cluster, so no files were open before.
	c.mastersReturned(t, namespace, second, c.watch(t, namespace, "reader", "hbase", "/hadoop", ""))
}

// scheduledSnapshot waits until raft status names an object of a cluster, and returns the
// file in the directory of the store that holds it.
func (c *cluster) scheduledSnapshot(t *testing.T, p *plugin, cluster string) string {
	t.Helper()
	key := regexp.MustCompile(`(?m)^Saved +\S+ ago: (masters/` + cluster + `-[0-9a-f]{16}-\w{16}\.jindosnapshot) in mount backup`)
	file := ""
	eventually(t, "a scheduled snapshot is in the store", func(context.Context) error {
		r := p.run(t, "", "raft", "status", "hadoop", "-o", "wide")
		found := key.FindStringSubmatch(r.stdout)
		if found == nil {
			return fmt.Errorf("raft status prints\n%s%s", r.stdout, r.stderr)
		}
		file = filepath.Join(c.env["S3_DIRECTORY"], "snapshots-of-a-test", found[1])
		return nil
	})
	inspected := p.settled(t, "raft", "snapshot", "inspect", file)
	if !strings.Contains(inspected, cluster) || !strings.Contains(inspected, "Holds    2 mounts") {
		t.Errorf("%s holds\n%s", file, inspected)
	}
	return file
}
