//go:build linux

package fusefd

import (
	"reflect"
	"strings"
	"testing"
)

func TestMessages(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want message
		err  string
	}{
		"plain":         {text: `{"version":1,"kind":"acquire"}`, want: message{Version: 1, Kind: kindAcquire}},
		"newer version": {text: `{"version":7,"kind":"acquire","new":[1]}`, want: message{Version: 7, Kind: kindAcquire}},
		"no version":    {text: `{"kind":"acquire"}`, err: "version is missing"},
		"no kind":       {text: `{"version":1}`, err: "kind is missing"},
		"not an object": {text: `[]`, err: "decode"},
		"empty":         {text: ``, err: "decode"},
	} {
		got, err := decodeMessage([]byte(c.text))
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: got error %v, want %q", name, err, c.err)
		case c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
	}
}

func TestMessageSize(t *testing.T) {
	if _, err := (message{Kind: kindNotify, Notifications: [][]byte{make([]byte, messageSize)}}).encode(); err == nil {
		t.Error("no error for a message that is too large")
	}
	if _, err := (message{Kind: kindNotify, Notifications: [][]byte{make([]byte, MaxNotify)}}).encode(); err != nil {
		t.Errorf("a message of MaxNotify bytes: %v", err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(`{"version":1,"kind":"lease","generation":3,"mountpoint":"/mnt"}`))
	f.Add([]byte(`{"version":1,"kind":"notify","notifications":["AAAA"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMessage(data)
		if err != nil {
			return
		}
		text, err := m.encode()
		if err != nil {
			return
		}
		again, err := decodeMessage(text)
		m.Version = protocolVersion
		if err != nil || again.Kind != m.Kind || again.Generation != m.Generation {
			t.Errorf("decoding %+v after encoding returned %+v, error %v", m, again, err)
		}
	})
}
