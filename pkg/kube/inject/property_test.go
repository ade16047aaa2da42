package inject_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	kjson "sigs.k8s.io/json"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// drawValue returns a value of a field that this program does not know.
func drawValue(t *rapid.T, depth int) any {
	kinds := 6
	if depth > 2 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.StringMatching(`[a-z<&>~/ é]{0,8}`).Draw(t, "text")
	case 1:
		return rapid.Int64().Draw(t, "number")
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return nil
	case 4:
		return drawFields(t, depth+1)
	}
	list := []any{}
	for range rapid.IntRange(0, 3).Draw(t, "length") {
		list = append(list, drawValue(t, depth+1))
	}
	return list
}

// drawFields draws fields that no version of the API has.
func drawFields(t *rapid.T, depth int) map[string]any {
	fields := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		fields["future"+rapid.StringMatching(`[A-Za-z/~]{1,4}`).Draw(t, "name")] = drawValue(t, depth)
	}
	return fields
}

func drawContainer(t *rapid.T, name string, volumes []string) map[string]any {
	c := drawFields(t, 1)
	c["name"], c["image"] = name, "image:1"
	if rapid.Bool().Draw(t, "limited") {
		c["resources"] = map[string]any{"limits": map[string]any{"cpu": "2", "memory": "1Gi"}, "requests": map[string]any{"cpu": 2}}
	}
	mounts := []any{}
	for _, v := range volumes {
		if rapid.IntRange(0, 3).Draw(t, "mounted") > 0 {
			m := drawFields(t, 2)
			m["name"], m["mountPath"] = v, "/"+v
			mounts = append(mounts, m)
		}
	}
	if len(mounts) > 0 {
		c["volumeMounts"] = mounts
	}
	return c
}

func maybe(t *rapid.T, object map[string]any, name string, list []any) {
	switch {
	case len(list) > 0:
		object[name] = list
	case rapid.Bool().Draw(t, "empty "+name):
		object[name] = list
	case rapid.Bool().Draw(t, "null "+name):
		object[name] = nil
	}
}

// drawPod draws a pod into which a sidecar can be injected.
func drawPod(t *rapid.T) map[string]any {
	pod, meta, spec := drawFields(t, 0), drawFields(t, 1), drawFields(t, 1)
	meta["labels"] = map[string]any{rapid.SampledFrom([]string{names.LabelInject, names.LabelInjectAlias}).Draw(t, "label"): "true"}
	switch rapid.IntRange(0, 3).Draw(t, "annotations") {
	case 0:
		meta["annotations"] = nil
	case 1:
		meta["annotations"] = map[string]any{}
	case 2:
		meta["annotations"] = map[string]any{
			"a/b~c": "x", names.AnnotationIstioExcludePorts: rapid.SampledFrom([]string{"", "80", "80, 443", "1-65535"}).Draw(t, "ports"),
		}
	}
	var volumes, inits, containers, secrets []any
	var volumeNames []string
	for i := range rapid.IntRange(0, 4).Draw(t, "volumes") {
		v := drawFields(t, 1)
		name := fmt.Sprintf("v%d", i)
		v["name"] = name
		switch rapid.IntRange(0, 2).Draw(t, "source") {
		case 0:
			v["emptyDir"] = map[string]any{}
		case 1:
			v["persistentVolumeClaim"] = map[string]any{"claimName": rapid.SampledFrom([]string{"one", "two", "other"}).Draw(t, "claim")}
		case 2:
			v["futureSource"] = drawValue(t, 1)
		}
		volumes, volumeNames = append(volumes, v), append(volumeNames, name)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "inits") {
		c := drawContainer(t, fmt.Sprintf("i%d", i), volumeNames)
		if rapid.IntRange(0, 3).Draw(t, "mesh") == 0 {
			c["name"], c["restartPolicy"] = rapid.SampledFrom([]string{"istio-proxy", "linkerd-proxy"}).Draw(t, "proxy"), "Always"
		}
		inits = append(inits, c)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "containers") {
		containers = append(containers, drawContainer(t, fmt.Sprintf("c%d", i), volumeNames))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "secrets") {
		secrets = append(secrets, map[string]any{"name": fmt.Sprintf("s%d", i)})
	}
	maybe(t, spec, "volumes", volumes)
	maybe(t, spec, "initContainers", inits)
	maybe(t, spec, "imagePullSecrets", secrets)
	spec["containers"] = containers
	pod["apiVersion"], pod["kind"], pod["metadata"], pod["spec"] = "v1", "Pod", meta, spec
	return pod
}

func drawRequest(t *rapid.T, pod []byte) inject.Request {
	r := inject.Request{Pod: pod, Namespace: "ns", Image: "image:default", Datasets: map[string]*inject.Dataset{}}
	for _, name := range []string{"one", "two"} {
		d := &inject.Dataset{Name: name, Ready: rapid.Bool().Draw(t, "ready")}
		if rapid.IntRange(0, 3).Draw(t, "bound") > 0 {
			d.Runtime = &v1alpha1.JindoRuntime{}
			d.Runtime.Spec.Fuse.Image = rapid.SampledFrom([]string{"", "mine:2"}).Draw(t, "image")
			d.Runtime.Spec.Fuse.ImagePullSecrets = []corev1.LocalObjectReference{{Name: rapid.SampledFrom([]string{"s0", "s1", "more"}).Draw(t, "secret")}}
		}
		r.Datasets[name] = d
	}
	return r
}

// TestProperties checks properties of every injection: existing fields remain in the same
// element, a second injection does nothing, the result is a pod, and Remove restores
// the original.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawPod(t)
		raw, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		r := drawRequest(t, raw)
		result, err := inject.Plan(r)
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		out, err := inject.Apply(raw, result.Operations)
		if err != nil {
			t.Fatal(err)
		}
		checkKept(t, plain(t, raw), plain(t, out))
		if err := json.Unmarshal(out, &corev1.Pod{}); err != nil {
			t.Fatalf("not a pod: %v", err)
		}
		again := r
		again.Pod = out
		if second, err := inject.Plan(again); err != nil || len(second.Operations) > 0 {
			t.Fatalf("the second pass: %+v, error %v", second, err)
		}
		removed, err := inject.Remove(out)
		if err != nil {
			t.Fatal(err)
		}
		back, err := inject.Apply(out, removed.Operations)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := normal(plain(t, back)), normal(plain(t, raw)); !reflect.DeepEqual(got, want) {
			t.Fatalf("after the removal the pod is\n%v\nand was\n%v", got, want)
		}
	})
}

// normal removes empty annotations.
func normal(pod map[string]any) map[string]any {
	meta, _ := pod["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	if annotations[names.AnnotationIstioExcludePorts] == "" {
		delete(annotations, names.AnnotationIstioExcludePorts)
	}
	return pod
}

// checkKept checks that after contains everything of before, in the element of the same
// name.
func checkKept(t *rapid.T, before, after any) {
	switch was := before.(type) {
	case map[string]any:
		is, ok := after.(map[string]any)
		if !ok {
			t.Fatalf("%v became %v", before, after)
		}
		for name, value := range was {
			if name == names.AnnotationIstioExcludePorts {
				continue
			}
			if _, has := is[name]; !has {
				t.Fatalf("%s is missing in %v", name, after)
			}
			checkKept(t, value, is[name])
		}
	case []any:
		is, ok := after.([]any)
		if !ok {
			t.Fatalf("%v became %v", before, after)
		}
		left := []any{}
		for _, item := range is {
			if object, _ := item.(map[string]any); len(was) > 0 && isNamed(was[0]) && isNamed(item) && isOurs(was, object) {
				continue
			}
			left = append(left, item)
		}
		if len(left) != len(was) {
			t.Fatalf("%v became %v", before, after)
		}
		for i := range was {
			checkKept(t, was[i], left[i])
		}
	default:
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%v became %v", before, after)
		}
	}
}

func isNamed(item any) bool {
	object, _ := item.(map[string]any)
	_, named := object["name"].(string)
	return named
}

// isOurs reports whether an item was injected: there was no item of that name.
func isOurs(was []any, item map[string]any) bool {
	for _, w := range was {
		if object, _ := w.(map[string]any); object["name"] == item["name"] {
			return false
		}
	}
	return true
}

// TestOtherWebhooks checks that after changes by other webhooks, in any order, a further
// injection leaves one sidecar at its position, and the next one does nothing.
func TestOtherWebhooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.Marshal(drawPod(t))
		if err != nil {
			t.Fatal(err)
		}
		r := drawRequest(t, raw)
		for range rapid.IntRange(1, 4).Draw(t, "passes") {
			result, err := inject.Plan(r)
			if err != nil {
				t.Fatal(err)
			}
			if r.Pod, err = inject.Apply(r.Pod, result.Operations); err != nil {
				t.Fatal(err)
			}
			r.Pod = meddle(t, r.Pod)
		}
		result, err := inject.Plan(r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Pod, err = inject.Apply(r.Pod, result.Operations); err != nil {
			t.Fatal(err)
		}
		if second, err := inject.Plan(r); err != nil || len(second.Operations) > 0 {
			t.Fatalf("the second pass: %+v, error %v", second, err)
		}
		if count := bytes.Count(r.Pod, []byte(`"name":"jindo-fuse","image"`)) + bytes.Count(r.Pod, []byte(`"--dir=/run/jindo"]`)); count > 3 {
			t.Fatalf("more than one sidecar in %s", r.Pod)
		}
	})
}

// meddle applies the changes of other webhooks and of the API server to every
// container.
func meddle(t *rapid.T, pod []byte) []byte {
	var p map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(pod, &p); err != nil {
		t.Fatal(err)
	}
	spec, _ := p["spec"].(map[string]any)
	inits, _ := spec["initContainers"].([]any)
	for _, item := range inits {
		c, _ := item.(map[string]any)
		switch rapid.IntRange(0, 4).Draw(t, "meddling") {
		case 0:
			c["image"] = "mirror/" + fmt.Sprint(c["image"])
		case 1:
			env, _ := c["env"].([]any)
			c["env"] = append(env, map[string]any{"name": "HTTP_PROXY", "value": "http://proxy"})
		case 2:
			mounts, _ := c["volumeMounts"].([]any)
			c["volumeMounts"] = append(mounts, map[string]any{"name": "token", "mountPath": "/var/run/secrets"})
		case 3:
			c["terminationMessagePath"] = "/dev/termination-log"
		case 4:
			delete(c, "securityContext")
		}
	}
	switch rapid.IntRange(0, 2).Draw(t, "order") {
	case 0:
		spec["initContainers"] = append([]any{map[string]any{"name": "vault", "image": "vault"}}, inits...)
	case 1:
		spec["initContainers"] = append([]any{map[string]any{"name": "istio-proxy", "restartPolicy": "Always"}}, inits...)
	}
	out, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
