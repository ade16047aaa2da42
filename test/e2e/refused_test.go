package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// refusal is a manifest that must be refused: by the API server or, for what a
// schema cannot express, with the condition SpecValid.
type refusal struct {
	name, spec string
	// want is part of the message.
	want string
}

func runtimeRefusals() []refusal {
	var rows []refusal
	for _, replicas := range []int{0, 2, 4, 5, -1} {
		rows = append(rows, refusal{fmt.Sprintf("%d masters", replicas), fmt.Sprintf("{master: {replicas: %d}}", replicas), "1 or 3"})
	}
	level := func(fields string) string { return "{tieredstore: {levels: [{" + fields + "}]}}" }
	return append(
		rows,
		refusal{"negative workers", "{replicas: -1}", "replicas"},
		refusal{"unknown medium", level("mediumtype: TAPE, path: /mnt/a, quota: 1Gi"), "MEM"},
		refusal{"low above high", level(`mediumtype: SSD, path: /mnt/a, quota: 1Gi, high: "0.5", low: "0.9"`), "low"},
		refusal{"high above one", level(`mediumtype: SSD, path: /mnt/a, quota: 1Gi, high: "1.5"`), "high"},
		refusal{"high is not a number", level(`mediumtype: SSD, path: /mnt/a, quota: 1Gi, high: much`), "high"},
		refusal{"both quotas", level(`mediumtype: SSD, path: /mnt/a, quota: 1Gi, quotaList: 1Gi`), "quotaList"},
		refusal{"fewer quotas than paths", level(`mediumtype: SSD, path: "/mnt/a,/mnt/b", quotaList: 1Gi`), "quotaList"},
		refusal{"quota is not a quantity", level(`mediumtype: SSD, path: /mnt/a, quota: plenty`), "quota"},
		refusal{"relative path", level(`mediumtype: SSD, path: mnt/a, quota: 1Gi`), "path"},
		refusal{"one path twice", level(`mediumtype: SSD, path: "/mnt/a,/mnt/a", quota: 2Gi`), "path"},
		refusal{"unknown network", "{networkmode: Bridge}", "HostNetwork"},
		refusal{"unknown clean policy", "{fuse: {cleanPolicy: Never}}", "OnDemand"},
	)
}

func datasetRefusals() []refusal {
	return []refusal{
		{"no mounts", "{mounts: []}", "mounts"},
		{"unknown scheme", "{mounts: [{mountPoint: 'ftp://x/y', name: a}]}", "write one of oss"},
		{"short mount point", "{mounts: [{mountPoint: 'a', name: a}]}", "mountPoint"},
		{"one name twice", "{mounts: [{mountPoint: 'local:///a', name: a}, {mountPoint: 'local:///b', name: a}]}", "name"},
		{"one path twice", "{mounts: [{mountPoint: 'local:///a', name: a, path: /x}, {mountPoint: 'local:///b', name: b, path: /x}]}", "path"},
		{"relative path", "{mounts: [{mountPoint: 'local:///a', name: a, path: x}]}", "path"},
		{"half a key pair", "{mounts: [{mountPoint: 'oss://b/', name: a, options: {fs.oss.endpoint: e, fs.oss.accessKeyId: i}}]}", "accessKeySecret"},
		{"unknown placement", "{mounts: [{mountPoint: 'local:///a', name: a}], placement: Alone}", "Shared"},
		{"unknown policy", "{mounts: [{mountPoint: 'local:///a', name: a, options: {metaPolicy: NEVER}}]}", "metaPolicy"},
	}
}

// TestRefused checks that invalid manifests are refused with a message, as early as
// possible, and do not block other objects.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := connect(t)
	namespace := c.namespace(t, "refused")
	for kind, rows := range map[string][]refusal{"JindoRuntime": runtimeRefusals(), "Dataset": datasetRefusals()} {
		for _, row := range rows {
			t.Run(kind+"/"+row.name, func(t *testing.T) {
				name := "bad-" + strings.NewReplacer(" ", "-").Replace(strings.ToLower(row.name))
				manifest := fmt.Sprintf("apiVersion: data.fluid.io/v1alpha1\nkind: %s\nmetadata: {name: %q}\nspec: %s\n", kind, name, row.spec)
				if err := yaml.Unmarshal([]byte(manifest), &map[string]any{}); err != nil {
					t.Fatal(err)
				}
				if kind == "Dataset" { // only a claimed Dataset is subject to the rules of the JindoRuntime
					c.create(t, namespace, fmt.Sprintf("apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: %q}\nspec: {master: {disabled: true}, worker: {disabled: true}}\n", name))
				}
				_, err := c.run(t.Context(), manifest, "create", "-n", namespace, "-f", "-")
				if err == nil {
					err = c.refusedLater(t, namespace, kind, name)
				}
				if !strings.Contains(err.Error(), row.want) {
					t.Errorf("refused with %q, which does not contain %q", err, row.want)
				}
			})
		}
	}
	t.Run("update", func(t *testing.T) {
		c.create(t, namespace, "apiVersion: data.fluid.io/v1alpha1\nkind: JindoRuntime\nmetadata: {name: good}\nspec: {master: {replicas: 1}, tieredstore: {levels: [{mediumtype: MEM, quota: 64Mi}]}}\n")
		_, err := c.run(t.Context(), "", "patch", "jindoruntime", "good", "-n", namespace, "--type=merge", "-p", `{"spec":{"master":{"replicas":2}}}`)
		if err == nil || !strings.Contains(err.Error(), "1 or 3") {
			t.Errorf("two masters at an update: %v", err)
		}
	})
}

// refusedLater waits for the condition of an object that the API server admitted.
func (c *cluster) refusedLater(t *testing.T, namespace, kind, name string) error {
	t.Helper()
	var refused error
	eventually(t, "the controller refuses it", func(ctx context.Context) error {
		key := client.ObjectKey{Namespace: namespace, Name: name}
		if kind == "Dataset" {
			d := &v1alpha1.Dataset{}
			if err := c.Get(ctx, key, d); err != nil {
				return err
			}
			for _, condition := range d.Status.Conditions {
				if condition.Type == v1alpha1.DatasetSpecValid && condition.Status == "False" {
					refused = fmt.Errorf("condition %s: %s", condition.Type, condition.Message)
					return nil
				}
			}
			return fmt.Errorf("its conditions are %v", d.Status.Conditions)
		}
		r := &v1alpha1.JindoRuntime{}
		if err := c.Get(ctx, key, r); err != nil {
			return err
		}
		for _, condition := range r.Status.Conditions {
			if condition.Type == v1alpha1.RuntimeSpecValid && condition.Status == "False" {
				refused = fmt.Errorf("condition %s: %s", condition.Type, condition.Message)
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", r.Status.Conditions)
	})
	return refused
}
