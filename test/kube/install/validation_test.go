package install_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Each row is rejected by the API server, with a message that names the field and a
// valid value.
func TestInvalidSpecs(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	level := func(fields string) string { return "{tieredstore: {levels: [{" + fields + "}]}}" }
	mount := func(fields string) string { return "{mounts: [{" + fields + "}]}" }
	const masters = "spec.master.replicas: Invalid value: \"object\": must be 1 or 3: write 3 so that one master may fail, or 1"
	for _, row := range []struct{ kind, name, spec, want string }{
		{"JindoRuntime", "a", "{master: {replicas: 0}}", masters},
		{"JindoRuntime", "a", "{master: {replicas: 2}}", masters},
		{"JindoRuntime", "a", "{master: {replicas: 4}}", masters},
		{"JindoRuntime", "a", "{master: {replicas: 5}}", masters},
		{"JindoRuntime", "a", "{master: {replicas: -1}}", masters},
		{"JindoRuntime", "a", "{replicas: 0}", "spec.replicas: "},
		{"JindoRuntime", "a", "{replicas: -1}", "write 1 or more"},
		{"JindoRuntime", "a", "{worker: {replicas: 0}}", "spec.worker.replicas: "},
		{"JindoRuntime", "a", "{worker: {disabled: true}}", "masters and workers must be disabled together"},
		{"JindoRuntime", "a", "{networkmode: Bridge}", "write ContainerNetwork or HostNetwork"},
		{"JindoRuntime", "a", "{fuse: {cleanPolicy: Never}}", "write OnRuntimeDeleted, OnDemand or OnFuseChanged"},
		{"JindoRuntime", "a", "{fuse: {args: [-oattr_timeout=soon]}}", "write a number of seconds, like -oattr_timeout=60"},
		{"JindoRuntime", "a", "{jindoVersion: {imagePullPolicy: Sometimes}}", "write Always, IfNotPresent or Never"},
		{"JindoRuntime", "a", "{labels: {a: b}, podMetadata: {labels: {a: b}}}", "spec.labels: Forbidden: "},
		{"JindoRuntime", "a", "{secret: No/Name}", "spec.secret: "},
		{"JindoRuntime", "a", "{runAs: {uid: -1}}", "write a number from 0"},
		{"JindoRuntime", "a", level("mediumtype: TAPE, path: /a, quota: 1Gi"), "write MEM, SSD or HDD"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a"), "write quota: 100Gi, or a quotaList"},
		{"JindoRuntime", "a", level("mediumtype: SSD, quota: 1Gi"), "spec.tieredstore.levels[0].path: Required value: "},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a, quota: plenty"), "write a number of bytes"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a, quota: 0"), "write a number of bytes"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a, quota: 1Gi, quotaList: 1Gi"), "quotaList: Forbidden: quota and quotaList are mutually exclusive"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: '/a,/b', quotaList: 1Gi"), "write an entry for each path"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: a, quota: 1Gi"), "write paths such as /mnt/disk1"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a/../b, quota: 1Gi"), "write paths without"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /, quota: 1Gi"), "contains the root of the file system"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a, quota: 1Gi, high: '0.5', low: '0.9'"), "low is not below high"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a, quota: 1Gi, high: '1.5'"), "high: Invalid value"},
		{"JindoRuntime", "a", level("mediumtype: SSD, path: /a, quota: 1Gi, low: NaN"), "low: Invalid value"},
		{"JindoRuntime", "a.b", "{}", "write at most 37 lower-case letters"},
		{"JindoRuntime", strings.Repeat("a", 38), "{}", "write at most 37 lower-case letters"},

		{"Dataset", "a", "{mounts: []}", "write at least one mount"},
		{"Dataset", "a", mount("name: a"), "spec.mounts[0].mountPoint: Required value: write the location of the data"},
		{"Dataset", "a", mount("mountPoint: a"), "is too short for a mountPoint"},
		{"Dataset", "a", "{placement: Alone}", "write Exclusive or Shared"},

		{"DataLoad", "a", "{}", "write spec.dataset.name"},
		{"DataLoad", "a", "{dataset: {name: d}, policy: Twice}", "write Once, Cron or OnEvent"},
		{"DataLoad", "a", "{dataset: {name: d}, policy: Cron}", "write schedule:"},
		{"DataLoad", "a", "{dataset: {name: d}, target: [{path: a}]}", "not an absolute path"},
		{"DataLoad", "a", "{dataset: {name: d}, target: [{path: /a, replicas: 0}]}", "write 1 or more"},
		{"DataLoad", "a", "{dataset: {name: d}, runAfter: {kind: Pod, name: a}}", "write DataLoad, DataBackup"},
		{"DataLoad", "a", "{dataset: {name: d}, options: {dryrun: maybe}}", `write "true" or "false"`},
	} {
		err := s.Create(t.Context(), object(t, row.kind, namespace, row.name, row.spec))
		if err == nil {
			t.Errorf("%s %s was accepted", row.kind, row.spec)
			continue
		}
		if !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s: error\n  %v\nwant\n  %s", row.kind, row.spec, err, row.want)
		}
	}
}

// Datasets of other runtimes, as Fluid's samples have them, are accepted: the
// schema rejects only what Fluid's own schema rejects.
func TestDatasetsOfOtherRuntimesAreAccepted(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	for i, spec := range []string{
		"{mounts: [{mountPoint: 'https://mirrors.example.com/apache/hbase/stable/', name: hbase}]}",
		"{mounts: [{mountPoint: 'pvc://testPVC', name: demo}]}",
		"{mounts: [{mountPoint: 'oss://bucket/', name: demo}]}",
		"{mounts: [{mountPoint: 'oss:///x'}]}",
		"{mounts: [{mountPoint: 'juicefs:///', name: minio, options: {metaPolicy: NEVER}}], accessModes: [ReadWriteMany]}",
		"{mounts: [{mountPoint: 'dataset://default/phy-1'}], placement: Shared}",
		"{mounts: [{mountPoint: 'https://a.example.com/x', name: a}, {mountPoint: 'https://b.example.com/x', name: a}]}",
	} {
		if err := s.Create(t.Context(), object(t, "Dataset", namespace, fmt.Sprintf("other-%d", i), spec)); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if err := s.Create(t.Context(), object(t, "Dataset", namespace, "a.b", "{}")); err != nil {
		t.Errorf("a name with a dot: %v", err)
	}
}

// Updates are validated like creations, through every subresource.
func TestInvalidUpdates(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	runtime := object(t, "JindoRuntime", namespace, "a", "{master: {replicas: 3}, replicas: 3}")
	if err := s.Create(t.Context(), runtime); err != nil {
		t.Fatal(err)
	}
	patch := func(part string, sub ...client.SubResourcePatchOption) error {
		raw := client.RawPatch(types.MergePatchType, []byte(part))
		if len(sub) > 0 {
			return s.Status().Patch(t.Context(), runtime.DeepCopy(), raw)
		}
		return s.Patch(t.Context(), runtime.DeepCopy(), raw)
	}
	status := []client.SubResourcePatchOption{&client.SubResourcePatchOptions{}}
	for _, row := range []struct {
		name, part string
		status     []client.SubResourcePatchOption
		want       string
	}{
		{"2 masters", `{"spec":{"master":{"replicas":2}}}`, nil, "must be 1 or 3"},
		{"1 master", `{"spec":{"master":{"replicas":1}}}`, nil, ""},
		{"other tiers", `{"spec":{"tieredstore":{"levels":[{"mediumtype":"MEM","quota":"1Gi"}]}}}`, nil, ""},
		{"a cluster is formed", `{"status":{"formation":{"clusterID":"c","formed":true}}}`, status, ""},
		{"only a phase", `{"status":{"masterPhase":"Ready"}}`, status, ""},
		{"another cluster", `{"status":{"formation":{"clusterID":"d"}}}`, status, "the cluster ID is immutable"},
		{"not formed after all", `{"status":{"formation":{"formed":false}}}`, status, "never form another"},
		{"the formation is removed", `{"status":{"formation":null}}`, status, ""},
		{"and another cluster formed", `{"status":{"formation":{"clusterID":"d","formed":false}}}`, status, ""},
	} {
		err := patch(row.part, row.status...)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	if out, err := s.kubectl("", "scale", "jindo/a", "-n", namespace, "--replicas=0"); err == nil || !strings.Contains(err.Error(), "write 1 or more") {
		t.Errorf("scale to 0: %s %v", out, err)
	}
	if _, err := s.kubectl("", "scale", "jindo/a", "-n", namespace, "--replicas=5"); err != nil {
		t.Errorf("scale to 5: %v", err)
	}
}

// Valid manifests are accepted, and kubectl prints their columns.
func TestAccepted(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	root := filepath.Join("..", "..", "..")
	for _, pattern := range []string{"manifests/samples/*.yaml", "pkg/api/v1alpha1/testdata/full-*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no manifests in %s: %v", pattern, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(raw), "namespace: team\n", "namespace: "+namespace+"\n")
			text = strings.ReplaceAll(text, "namespace: team}", "namespace: "+namespace+"}")
			if _, err := s.kubectl(text, "create", "--validate=strict", "-n", namespace, "-f", "-"); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if out, err := s.kubectl(text, "apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"); err != nil {
				t.Errorf("%s: %v %s", file, err, out)
			}
		}
	}
	runtime := &v1alpha1.JindoRuntime{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "hadoop"}, runtime); err != nil {
		t.Fatal(err)
	}
	runtime.Status = v1alpha1.RuntimeStatus{
		MasterPhase: "Ready", WorkerPhase: "PartialReady", FusePhase: "NotReady",
		Raft:       &v1alpha1.RaftStatus{Leader: "hadoop-jindofs-master-1", Term: 7},
		Conditions: []v1alpha1.RuntimeCondition{{Type: v1alpha1.RuntimeReady, Status: "False", Message: "1 of 3 workers is not ready"}},
	}
	if err := s.Status().Update(t.Context(), runtime); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args []string
		want string
	}{
		{nil, "NAME MASTER PHASE WORKER PHASE FUSE PHASE AGE | hadoop Ready PartialReady NotReady"},
		{[]string{"-o", "wide"}, "hadoop 0 0 Ready 0 0 PartialReady 0 0 NotReady"},
		{[]string{"-o", "wide"}, "hadoop-jindofs-master-1 7 1 of 3 workers is not ready"},
	} {
		out, err := s.kubectl("", append([]string{"get", "jindo", "hadoop", "-n", namespace}, row.args...)...)
		if got := strings.Join(strings.Fields(strings.ReplaceAll(strings.TrimSpace(out), "\n", " | ")), " "); err != nil || !strings.Contains(got, row.want) {
			t.Errorf("kubectl get %v: %v\n%s\nwant %q", row.args, err, got, row.want)
		}
	}
	if out, err := s.kubectl("", "get", "fluid", "-n", namespace, "-o", "name"); err != nil || !strings.Contains(out, "dataset.data.fluid.io/hbase") || !strings.Contains(out, "jindoruntime.data.fluid.io/hadoop") {
		t.Errorf("kubectl get fluid: %v\n%s", err, out)
	}
}
