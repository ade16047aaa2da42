package state

import (
	"bytes"
	"testing"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// fixture is a state to which a test applies one command at a time.
type fixture struct {
	*Machine
	t     testing.TB
	index uint64
	now   int64
	// format is that of the entries.
	format uint32
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	m, err := New(func(err error) { t.Errorf("the machine failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Machine: m, t: t, now: 1_700_000_000_000_000_000, format: 1}
}

// formed returns a fixture with a cluster, and an open session "s" of
// "admin/a".
func formed(t testing.TB) *fixture {
	t.Helper()
	f := newFixture(t)
	f.must(form("c"))
	f.must(open("s", "admin/a"))
	return f
}

// batch applies commands in one entry.
func (f *fixture) batch(commands ...*statev1.Command) []*statev1.Result {
	f.t.Helper()
	entry, err := EncodeBatch(f.format, commands)
	if err != nil {
		f.t.Fatal(err)
	}
	f.index++
	results, ok := f.Apply(f.index, entry).([]*statev1.Result)
	if !ok || len(results) != len(commands) {
		f.t.Fatalf("entry of %d commands: got %v", len(commands), results)
	}
	return results
}

func (f *fixture) do(c *statev1.Command) *statev1.Result {
	f.t.Helper()
	if c.GetTime() == 0 {
		f.now++
		c.Time = f.now
	}
	return f.batch(c)[0]
}

// must applies a command that has to be executed.
func (f *fixture) must(c *statev1.Command) *statev1.Result {
	f.t.Helper()
	r := f.do(c)
	if r.GetRefusal() != nil {
		f.t.Fatalf("%v was refused: %v", c, r.GetRefusal())
	}
	return r
}

// refused applies a command that has to be refused.
func (f *fixture) refused(c *statev1.Command, code statev1.Refusal_Code) *statev1.Result {
	f.t.Helper()
	r := f.do(c)
	if r.GetRefusal().GetCode() != code {
		f.t.Fatalf("%v: got %v, want refusal %s", c, r, code)
	}
	return r
}

// unchanged runs a function that must not change the state.
func (f *fixture) unchanged(run func()) {
	f.t.Helper()
	before := f.View().Digest()
	run()
	if after := f.View().Digest(); after.Sum != before.Sum {
		f.t.Fatalf("the state changed from %s to %s", before, after)
	}
}

// restored returns another fixture, with the state of a snapshot of this one.
func (f *fixture) restored() *fixture {
	f.t.Helper()
	var written bytes.Buffer
	if _, err := f.Snapshot().WriteTo(&written); err != nil {
		f.t.Fatal(err)
	}
	other := newFixture(f.t)
	if err := other.Restore(&written); err != nil {
		f.t.Fatal(err)
	}
	other.index, other.now, other.format = f.index, f.now, f.format
	return other
}

func form(id string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_FormCluster{FormCluster: &statev1.FormCluster{ClusterId: id, FormatVersion: 1}}}
}

func open(session, owner string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_OpenSession{OpenSession: &statev1.OpenSession{
		Session: session, Owner: owner, Holder: "a test", Ttl: int64(60e9),
	}}}
}

func replace(session, owner, old string) *statev1.Command {
	c := open(session, owner)
	c.GetOpenSession().Replaces = old
	return c
}

func expire(at int64, sessions ...string) *statev1.Command {
	return &statev1.Command{Time: at, Operation: &statev1.Command_ExpireSessions{ExpireSessions: &statev1.ExpireSessions{Sessions: sessions}}}
}

// by returns a command with a request id of session "s".
func by(sequence uint64, c *statev1.Command) *statev1.Command {
	return of("s", "admin/a", sequence, sequence-1, c)
}

func of(session, owner string, sequence, acknowledged uint64, c *statev1.Command) *statev1.Command {
	c.Request = &statev1.Request{Session: session, Sequence: sequence, Acknowledged: acknowledged, Owner: owner}
	return c
}

func mount(path, uri string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_PutMount{PutMount: &statev1.PutMount{
		Nonce: "0123456789abcdef",
		Mount: &commonv1.Mount{Name: "at" + path, Path: path, Uri: uri, Options: map[string]string{"a": "1", "b": "2"}},
	}}}
}

func unmount(path string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_RemoveMount{RemoveMount: &statev1.RemoveMount{Path: path}}}
}

func invalidate(path string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_Invalidate{Invalidate: &statev1.Invalidate{Path: path}}}
}

func register(name, id string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_RegisterWorker{RegisterWorker: &statev1.RegisterWorker{
		Member: &commonv1.RingMember{Name: name, Id: id, Host: name + ".local", Port: 18005, Weight: 1 << 30},
	}}}
}

func remove(name, id string) *statev1.Command {
	return &statev1.Command{Operation: &statev1.Command_RemoveWorker{RemoveWorker: &statev1.RemoveWorker{Name: name, Id: id}}}
}
