//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"--state-dir=/s", "--uid=7"})
	if err != nil || o.stateDir != "/s" || o.uid != 7 {
		t.Errorf("got %+v, error %v", o, err)
	}
	for arg, want := range map[string]string{"sidcar": `unknown command "sidcar"`, "--uid=x": "invalid value"} {
		if _, err := parseOptions([]string{arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", arg, err, want)
		}
	}
}

func TestSidecarHelp(t *testing.T) {
	if err := runSidecar(t.Context(), []string{"--help"}); err != nil {
		t.Errorf("got error %v, want the usage", err)
	}
}
