package inject

import (
	"bytes"
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// oddStrings are strings that encoding/json does not encode as they are.
func oddStrings() []string {
	return []string{"", "plain", `a"b\c`, "<script>&amp;", "\x00\n\t\x1f\x7f", "é\u2028\u2029", "\xff\xfe", holeVolumes, holeImage, holePolicy, `"resources":{}`}
}

// TestEncodeSidecar checks that the templates encode exactly what encoding/json does,
// with values that need escapes and values that look like holes.
func TestEncodeSidecar(t *testing.T) {
	quantities := func(values ...string) corev1.ResourceList {
		list := corev1.ResourceList{}
		for i, value := range values {
			list[[]corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceCPU, "example.com/<gpu>"}[i]] = resource.MustParse(value)
		}
		return list
	}
	for _, sizes := range []corev1.ResourceRequirements{
		{},
		{Limits: quantities("1Gi"), Requests: quantities("256Mi", "100m")},
		{Requests: quantities("0", "0.5")},
		{Limits: quantities("1.5Gi", "1500m", "1e3")},
		{Limits: corev1.ResourceList{}, Requests: corev1.ResourceList{}},
	} {
		for _, odd := range oddStrings() {
			for _, other := range []string{"v", odd} {
				container, volume, err := encodeSidecar(odd, other, corev1.PullPolicy(odd), sizes)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, container, desiredContainer(odd, other, corev1.PullPolicy(odd), sizes))
				equal(t, volume, desiredVolume(odd))
			}
		}
	}
}

func equal(t *testing.T, got []byte, of any) {
	t.Helper()
	want, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("encoded as\n%s\nwant\n%s", got, want)
	}
}

// TestAppendPatch checks that patches are encoded exactly as encoding/json does.
func TestAppendPatch(t *testing.T) {
	values := []any{
		nil, "", 1, 1.5, true, json.RawMessage(`{"a":"\u003cb"}`), json.RawMessage(nil),
		[]any{},
		[]any{"x"},
		[]any{json.RawMessage(`1`)},
		[]any{"x", 2},
		[]any{[]any{nil}},
		map[string]string(nil),
		map[string]string{},
		map[string]string{"b": "1", "a": "<2>"},
		map[string]any{"x": nil},
		corev1.LocalObjectReference{Name: "n"},
		[]corev1.LocalObjectReference{{Name: "n"}},
	}
	for _, odd := range oddStrings() {
		values = append(values, odd, map[string]string{odd: odd, "x": odd})
	}
	all := []Operation{}
	for i, value := range values {
		one := []Operation{{Op: "add", Path: oddStrings()[i%len(oddStrings())], Value: value}}
		all = append(all, one...)
		got, err := AppendPatch(nil, one)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, one)
	}
	got, err := AppendPatch([]byte{}, all)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got, all)
	if got, err := AppendPatch(nil, []Operation{{Value: func() {}}}); err == nil {
		t.Errorf("a function was encoded as %s", got)
	}
}
