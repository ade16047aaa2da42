package main

import (
	"slices"
	"strings"
	"testing"
)

func TestRights(t *testing.T) {
	t.Parallel()
	const prefix = `{"user":{"username":"system:serviceaccount:fluid-system:a"},"verb":`
	log := strings.Join([]string{
		prefix + `"patch","objectRef":{"resource":"jindoruntimes","subresource":"status","apiGroup":"data.fluid.io","namespace":"n"},"responseStatus":{"code":200}}`,
		prefix + `"get","objectRef":{"resource":"secrets","namespace":"fluid-system"},"responseStatus":{"code":404}}`,
		prefix + `"get","objectRef":{"resource":"secrets","namespace":"fluid-system"},"responseStatus":{"code":200}}`,
		prefix + `"create","objectRef":{"resource":"secrets","namespace":"n"},"responseStatus":{"code":403}}`,
		prefix + `"delete","objectRef":{"resource":"secrets","namespace":"n"},"responseStatus":{"code":403},"annotations":{"authorization.k8s.io/decision":"forbid"}}`,
		prefix + `"get","requestURI":"/version"}`,
		`{"user":{"username":"alice"},"verb":"get","objectRef":{"resource":"pods"}}`,
		prefix + `"li`,
	}, "\n")
	got, lacked, err := rights(strings.NewReader(log))
	want := []string{"a * jindoruntimes.data.fluid.io/status patch", "a fluid-system secrets get"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("rights %q, %v, want %q", got, err, want)
	}
	if want := []string{"a * secrets delete"}; !slices.Equal(lacked, want) {
		t.Errorf("lacking rights %q, want %q", lacked, want)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	if got := parse(header + "\na b c d\n"); !slices.Equal(got, []string{"a b c d"}) {
		t.Errorf("rows %q", got)
	}
}
