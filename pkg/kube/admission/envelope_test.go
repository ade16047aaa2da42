package admission

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reviews are requests that are split, or must not be.
func reviews() []string {
	const head = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u",`
	return []string{
		head + `"object":{"a":[{}],"b":"}\"\\"},"oldObject":null}}`,
		head + `"object":{"object":{"object":1}},"name":"n"}}`,
		head + `"object":{"a":1},"oldObject":{"object":{}}}}`,
		head + `"object":{"a":1},"object":{"b":2}}}`,
		head + `"object":{"a":1},"Object":{"b":2}}}`,
		head + `"object":{"a":1},"OBJECT":null}}`,
		head + `"object":{"a":1},"\u006fbject":{"b":2}}}`,
		head + `"object":{"a":1}},"request":{"name":"second"}}`,
		head + `"object":{"a":1}},"request":null}`,
		head + `"object":{"a":1}},"request":{"object":{"b":2}}}`,
		head + `"object":{"a":1}},"Request":{"obJect":{"b":2}}}`,
		head + `"object": {"a":1}}}`,
		head + `"object":null}}`,
		head + `"object":[{"a":1}]}}`,
		head + `"object":"{}"}}`,
		head + `"userInfo":{"extra":{"object":{"a":1}}}}}`,
		head + `"name":"\"object\":{}","object":{"a":1}}}`,
		head + `"name":"\"object\":{}"}}`,
		head + `"list":[{"object":{"a":1}}]}}`,
		head + `"object":{"a":1}`, head + `"object":{"a":1]}}`, head + `"object":{"a":}}}`, head + `"object":{"a"}}}`,
		head + `"object":{"a":"` + "\x01" + `"}}}`,
		head + `"object":{}{}}}`, head + `"object":{},,"x":1}}`, head + `"object":{}"x":1}}`, head + `"object":{}null}}`,
		`{"object":{"a":1},"request":{"uid":"u"}}`, `{"a":{"object":{"a":1}},"request":{"uid":"u","object":null}}`,
		`{"object":{"request":{"object":1}}}`, `{"request":[{"object":{}}]}`, `"object":{}`, ``, `null`, `{`, `"object":`,
	}
}

// sameReview checks that a review means the same to unmarshal as to encoding/json. An
// invalid object may be found by its parser instead.
func sameReview(t *testing.T, text []byte) {
	t.Helper()
	var want, got envelope
	wanted, failed := json.Unmarshal(text, &want), unmarshal(text, &got)
	switch {
	case wanted == nil && failed == nil:
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nmeans %+v\nwant %+v", text, got.Request, want.Request)
		}
	case wanted == nil:
		t.Errorf("%s: %v", text, failed)
	case failed == nil && (got.Request == nil || json.Valid(got.Request.Object)):
		t.Errorf("%s is accepted, want %v", text, wanted)
	}
}

func TestUnmarshal(t *testing.T) {
	for _, text := range reviews() {
		sameReview(t, []byte(text))
	}
	// A review as the API server writes it is split.
	if _, object, ok := cut([]byte(reviews()[0])); !ok || string(object) != `{"a":[{}],"b":"}\"\\"}` {
		t.Errorf("split: %t, %s", ok, object)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, text := range reviews() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameReview(t, text) })
}

// TestMarshal checks that responses are encoded exactly as encoding/json does.
func TestMarshal(t *testing.T) {
	patch := admissionv1.PatchTypeJSONPatch
	for _, response := range []*admissionv1.AdmissionResponse{
		{},
		{UID: "u", Allowed: true},
		{UID: `<"u">`, Allowed: true, Patch: []byte(`[{"op":"add"}]`), PatchType: &patch, Warnings: []string{"a", "<b>"}, AuditAnnotations: map[string]string{"b": "é", "a": ""}},
		{Patch: []byte("x")},
		{PatchType: &patch},
		{Patch: []byte{}, PatchType: &patch},
		{Warnings: []string{}, AuditAnnotations: map[string]string{}},
		refusal(http.StatusForbidden, metav1.StatusReasonForbidden, strings.Repeat("no ", 5)),
	} {
		got, err := marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Response: response,
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("encoded as\n%s\nwant\n%s", got, want)
		}
	}
}
