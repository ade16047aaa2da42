package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// apply applies a command that must be executed.
func apply(t testing.TB, machine *state.Machine, index uint64, command *statev1.Command) {
	t.Helper()
	entry, err := state.EncodeBatch(1, []*statev1.Command{command})
	if err != nil {
		t.Fatal(err)
	}
	if results, ok := machine.Apply(index, entry).([]*statev1.Result); !ok || results[0].GetRefusal() != nil {
		t.Fatalf("%v: %v", command, results)
	}
}

// saved returns a file with a mount, and what it was written from.
func saved(t testing.TB) ([]byte, Header, *state.Machine) {
	t.Helper()
	machine, err := state.New(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	apply(t, machine, 1, &statev1.Command{Operation: &statev1.Command_FormCluster{FormCluster: &statev1.FormCluster{ClusterId: "c", FormatVersion: 1}}})
	apply(t, machine, 2, &statev1.Command{Operation: &statev1.Command_OpenSession{OpenSession: &statev1.OpenSession{Session: "s", Owner: "admin/a", Ttl: 1e9}}})
	apply(t, machine, 3, &statev1.Command{
		Request: &statev1.Request{Session: "s", Sequence: 1, Owner: "admin/a"},
		Operation: &statev1.Command_PutMount{PutMount: &statev1.PutMount{
			Nonce: "x", Mount: &commonv1.Mount{Name: "data", Path: "/data", Uri: "oss://bucket/data/"},
		}},
	})
	header := Header{
		ClusterID: "c", Index: 3, Term: 2, Members: []Member{{ID: "m-0-aa", Address: "host:1", Voter: true}},
		Master: "m-0", Confirmed: true, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Program: "test",
	}
	var file bytes.Buffer
	if err := Write(&file, header, machine.Snapshot()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), header, machine
}

func TestRead(t *testing.T) {
	file, header, machine := saved(t)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(file), "bytes": iotest.OneByteReader(bytes.NewReader(file)), "with its end": iotest.DataErrReader(bytes.NewReader(file)),
	} {
		content, err := Read(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if content.State.View().Digest() != machine.View().Digest() || content.Index != header.Index || content.Members[0] != header.Members[0] || !content.Time.Equal(header.Time) {
			t.Errorf("%s: %+v", name, content)
		}
		if len(content.Sum) != 64 {
			t.Errorf("%s: the sum is %q", name, content.Sum)
		}
	}
}

// TestDamageIsNamed: no bit may differ, and nothing may be missing or follow.
func TestDamageIsNamed(t *testing.T) {
	file, _, _ := saved(t)
	for at := range file {
		damaged := bytes.Clone(file)
		damaged[at] ^= 1 << (at % 8)
		if _, err := Read(bytes.NewReader(damaged)); err == nil {
			t.Fatalf("a file with damage at %d is read", at)
		}
		if _, err := Read(bytes.NewReader(file[:at])); err == nil {
			t.Fatalf("a file of %d bytes of %d is read", at, len(file))
		}
	}
	other := bytes.Clone(file)
	other[len(magic)] = version + 1
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"empty":           {nil, "it is no snapshot of masters"},
		"another file":    {[]byte(strings.Repeat("text ", 40)), "it is no snapshot of masters"},
		"newer":           {other, "is not supported"},
		"short header":    {file[:20], "the file ends within the header"},
		"short":           {file[:len(file)-40], "truncated or damaged"},
		"data after it":   {append(bytes.Clone(file), 0), "truncated or damaged"},
		"another cluster": {written(t, Header{ClusterID: "d", Index: 3}), `of cluster "d"`},
		"another index":   {written(t, Header{ClusterID: "c", Index: 4}), "index 4"},
	} {
		if _, err := Read(bytes.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := Read(bytes.NewReader(other)); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("a newer file: %v", err)
	}
	if _, err := Read(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a failing reader: %v", err)
	}
}

// written returns a file with another header.
func written(t *testing.T, h Header) []byte {
	t.Helper()
	_, _, machine := saved(t)
	var file bytes.Buffer
	if err := Write(&file, h, machine.Snapshot()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestALargeFileIsRefused before it is read to its end.
func TestALargeFileIsRefused(t *testing.T) {
	file, _, _ := saved(t)
	endless := io.MultiReader(bytes.NewReader(file[:len(file)-32]), zeros{})
	if _, err := Read(endless); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func FuzzRead(f *testing.F) {
	file, _, _ := saved(f)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte(magic + "\x01\x00\x00\x00\x02{}"))
	f.Add([]byte(magic + "\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = Read(bytes.NewReader(raw))
		// With a correct checksum, most of the damaged data is decoded.
		raw = raw[:max(0, len(raw)-sha256.Size)]
		sum := sha256.Sum256(raw)
		content, err := Read(bytes.NewReader(append(bytes.Clone(raw), sum[:]...)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, content.Header, content.State.Snapshot()); err != nil {
			return // a header that grew when it was encoded
		}
		if _, err := Read(&again); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}
