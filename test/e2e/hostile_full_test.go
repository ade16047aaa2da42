//go:build full

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// hostile returns invalid and malicious specs.
func hostile() map[string][]string {
	long := strings.Repeat("x", 300)
	level := func(fields string) string { return "{tieredstore: {levels: [{" + fields + "}]}}" }
	mount := func(fields string) string { return "{mounts: [{" + fields + "}]}" }
	return map[string][]string{
		"JindoRuntime": {
			"{}", "null", "{replicas: 0}", "{replicas: 2147483647}", "{replicas: 1000000}", "{replicas: '3'}", "{master: null}",
			"{master: {replicas: 3, disabled: true}}", "{worker: {disabled: true}}", "{fuse: {disabled: true}}",
			"{master: {disabled: true}, worker: {disabled: true}}",
			"{master: {disabled: true}, worker: {disabled: true}, fuse: {disabled: true}}",
			level("mediumtype: MEM"), level("mediumtype: MEM, path: /dev/shm, quota: 0"), level("mediumtype: MEM, quota: -1Gi"),
			level("mediumtype: MEM, quota: 9999999999999999999Gi"), level("mediumtype: MEM, quota: 1e400"), level("mediumtype: SSD"),
			level("mediumtype: SSD, path: '', quota: 1Gi"), level("mediumtype: SSD, path: ',', quota: 1Gi"), level("mediumtype: SSD, path: '/a,,/b', quota: 1Gi"),
			level("mediumtype: SSD, path: '/', quota: 1Gi"), level("mediumtype: SSD, path: '/etc', quota: 1Gi"), level("mediumtype: SSD, path: '/mnt/../etc', quota: 1Gi"),
			level("mediumtype: SSD, path: '/mnt/a,/mnt/b', quota: 1Gi"), level("mediumtype: MEM, path: '/dev/shm,/dev/shm2', quotaList: '1Gi,1Gi'"),
			level("mediumtype: SSD, path: '/mnt/a', quota: 1Gi, high: '0.8', low: '0.8'"), level("mediumtype: SSD, path: '/mnt/a', quota: 1Gi, high: NaN"),
			level("mediumtype: SSD, path: '/mnt/a', quota: 1Gi, high: '-0.5'"), level("mediumtype: SSD, path: '/mnt/a', quota: 1Gi, high: '0x1p-1'"),
			level("mediumtype: SSD, path: '/" + long + "', quota: 1Gi"), "{tieredstore: {levels: []}}", "{tieredstore: {levels: [null]}}",
			"{fuse: {args: ['-o']}}", "{fuse: {args: ['--', '']}}", "{fuse: {args: ['-oattr_timeout=-1']}}", "{fuse: {args: ['-ouid=root']}}",
			"{master: {env: {'': x}}}", "{master: {env: {'A B': x}}}", "{worker: {env: {POD_NAME: other}}}", "{master: {nodeSelector: {'no such/label/here': x}}}",
			"{master: {podMetadata: {labels: {role: mine}}}}", "{master: {podMetadata: {labels: {a: '" + long + "'}}}}", "{master: {podMetadata: {labels: {a: b}}, labels: {a: c}}}",
			"{worker: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}}", "{worker: {resources: {requests: {memory: -1}}}}", "{jindoVersion: {image: 'no image', imageTag: ':::'}}",
			"{master: {tolerations: [{operator: Perhaps}]}}", "{master: {volumeMounts: [{name: none, mountPath: /x}]}}", "{master: {storageClassName: 'no such class'}}",
			"{networkmode: HostNetwork}", "{secret: '../../etc'}", "{hadoopConfig: 'no/such'}", "{user: root}", "{runAs: {uid: -1, gid: -1, user: x, group: y}}",
		},
		"Dataset": {
			"{}", "null", "{mounts: []}", "{mounts: [null]}", mount("mountPoint: ''"), mount("mountPoint: 'oss://'"), mount("mountPoint: 'oss:///'"),
			mount("mountPoint: 'oss://b/../../x', name: a"), mount("mountPoint: 'local://../etc', name: a"), mount("mountPoint: 'local:///', name: a"),
			mount("mountPoint: 'hdfs://nn/x', name: a"), mount("mountPoint: 'pvc://claim/x', name: a"), mount("mountPoint: '" + long + "', name: a"),
			mount("mountPoint: 'oss://b/', name: '../x'"), mount("mountPoint: 'oss://b/', name: 'a b'"), mount("mountPoint: 'oss://b/', name: '" + long + "'"),
			mount("mountPoint: 'oss://b/', name: a, path: '/../..'"), mount("mountPoint: 'oss://b/', name: a, path: '/" + long + "'"),
			mount("mountPoint: 'oss://b/', name: a, options: {fs.oss.endpoint: ''}"), mount("mountPoint: 'oss://b/', name: a, options: {fs.oss.endpoint: 'http://[::1'}"),
			mount("mountPoint: 'local:///a', name: a, options: {metaPolicy: SOMETIMES}"), mount("mountPoint: 'local:///a', name: a, options: {readCacheReplica: many}"),
			mount("mountPoint: 'oss://b/', name: a, encryptOptions: [{name: fs.oss.accessKeyId, valueFrom: {secretKeyRef: {name: '../x', key: ''}}}]"),
			"{mounts: [{mountPoint: 'local:///a', name: a}], accessModes: [Sometimes]}", "{mounts: [{mountPoint: 'local:///a', name: a}], owner: {uid: -5}}",
			"{mounts: [{mountPoint: 'local:///a', name: a}], nodeAffinity: {required: {nodeSelectorTerms: []}}}",
			"{mounts: [{mountPoint: 'local:///a', name: a, path: /x}, {mountPoint: 'local:///b', name: b, path: /x/y}]}",
			"{mounts: [{mountPoint: 'local:///a', name: a}], tolerations: [{key: '', operator: Equal, value: x}]}",
		},
	}
}

// TestHostileManifests checks that no manifest crashes a controller or delays the
// runtimes of others.
func TestHostileManifests(t *testing.T) {
	c := connect(t)
	namespace, other := c.namespace(t, "hostile"), c.namespace(t, "beside")
	c.bucket(t)
	before := c.restarts(t)
	refused, total := 0, 0
	for kind, specs := range hostile() {
		for i, spec := range specs {
			total++
			manifest := fmt.Sprintf("apiVersion: data.fluid.io/v1alpha1\nkind: %s\nmetadata: {name: h-%d}\nspec: %s\n", kind, i, spec)
			if _, err := c.run(t.Context(), manifest, "create", "--validate=false", "-n", namespace, "-f", "-"); err != nil {
				refused++
				if !strings.Contains(err.Error(), "h-"+fmt.Sprint(i)) && !strings.Contains(err.Error(), "error") {
					t.Errorf("%s %s is refused with %v", kind, spec, err)
				}
			}
		}
	}
	t.Logf("%d manifests, %d refused by the API server", total, refused)
	if total < 60 {
		t.Errorf("%d manifests, want at least 60", total)
	}
	c.create(t, other, c.seedDataset())
	c.create(t, other, small)
	c.datasetPhase(t, other, "hbase", v1alpha1.BoundDatasetPhase)
	c.job(t, other, "read", "hbase", "/hadoop")
	if after := c.restarts(t); after != before {
		t.Errorf("the controllers were restarted %d times", after-before)
	}
}

// restarts returns the sum of the restarts in the system namespace.
func (c *cluster) restarts(t *testing.T) int32 {
	t.Helper()
	var sum int32
	eventually(t, "the pods of the system exist", func(ctx context.Context) error {
		pods, err := c.pods(ctx, names.SystemNamespace, "")
		sum = 0
		for _, pod := range pods {
			for _, s := range pod.Status.ContainerStatuses {
				sum += s.RestartCount
			}
		}
		return err
	})
	return sum
}
