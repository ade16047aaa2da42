package state

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
)

// TestRequestRepeated must fail when duplicates are executed
// (JINDO_MUTANT=nodedup): see mutant_test.go.
func TestRequestRepeated(t *testing.T) {
	f := formed(t)
	f.must(by(1, mount("/data", "oss://b/")))
	first := f.must(by(2, invalidate("/data")))
	if first.GetMount().GetEpoch() != 2 {
		t.Fatalf("the first invalidation returned epoch %d", first.GetMount().GetEpoch())
	}
	f.unchanged(func() {
		for range 3 {
			again := f.must(by(2, invalidate("/data")))
			if !proto.Equal(again, first) {
				t.Errorf("the first result was %v, and a repetition got %v", first, again)
			}
		}
	})
	if next := f.must(by(3, invalidate("/data"))); next.GetMount().GetEpoch() != 3 {
		t.Errorf("two requests gave epoch %d", next.GetMount().GetEpoch())
	}
}

func TestRefusalIsStored(t *testing.T) {
	f := formed(t)
	first := f.refused(by(1, invalidate("/data")), statev1.Refusal_CODE_NOT_FOUND)
	f.must(by(2, mount("/data", "oss://b/")))
	// The mount exists now, but the result of the request is still a refusal.
	// The second command acknowledged it, so that the test uses another
	// session.
	f.must(open("t", "admin/a"))
	no := f.refused(of("t", "admin/a", 1, 0, invalidate("/other")), statev1.Refusal_CODE_NOT_FOUND)
	f.must(of("t", "admin/a", 2, 0, mount("/other", "oss://o/")))
	if again := f.do(of("t", "admin/a", 1, 0, invalidate("/other"))); !proto.Equal(again, no) {
		t.Errorf("the first result was %v, and a repetition got %v", no, again)
	}
	if first.GetRefusal().GetSubject() != "/data" {
		t.Errorf("the subject of the refusal is %q", first.GetRefusal().GetSubject())
	}
}

func TestRequestsThatAreNotExecuted(t *testing.T) {
	for _, test := range []struct {
		name    string
		command *statev1.Command
		want    statev1.Refusal_Code
	}{
		{"of a session never opened", of("x", "admin/a", 1, 0, invalidate("/data")), statev1.Refusal_CODE_UNKNOWN_SESSION},
		{"of another owner's session", of("s", "worker/w", 4, 3, invalidate("/data")), statev1.Refusal_CODE_UNKNOWN_SESSION},
		{"after a gap", by(6, invalidate("/data")), statev1.Refusal_CODE_GAP},
		{"with sequence 0", of("s", "admin/a", 0, 0, invalidate("/data")), statev1.Refusal_CODE_GAP},
		{"that was acknowledged", by(2, invalidate("/data")), statev1.Refusal_CODE_FORGOTTEN},
		{"that was another command", by(4, unmount("/data")), statev1.Refusal_CODE_REUSED},
		{"of a client without id", invalidate("/data"), statev1.Refusal_CODE_NO_REQUEST},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := formed(t)
			f.must(by(1, mount("/data", "oss://b/")))
			for i := uint64(2); i <= 4; i++ {
				f.must(by(i, invalidate("/data")))
			}
			f.unchanged(func() { f.refused(test.command, test.want) })
			if r := f.must(by(5, invalidate("/data"))); r.GetMount().GetEpoch() != 5 {
				t.Errorf("afterwards the epoch is %d", r.GetMount().GetEpoch())
			}
		})
	}
}

func TestUnacknowledgedResultsAreBounded(t *testing.T) {
	f := formed(t)
	for i := uint64(1); i <= MaxUnacknowledged; i++ {
		f.do(of("s", "admin/a", i, 0, invalidate("/data")))
	}
	f.unchanged(func() {
		f.refused(of("s", "admin/a", MaxUnacknowledged+1, 0, invalidate("/data")), statev1.Refusal_CODE_UNACKNOWLEDGED)
	})
	f.refused(of("s", "admin/a", MaxUnacknowledged+1, 1, invalidate("/data")), statev1.Refusal_CODE_NOT_FOUND)
	if rows := f.View().head.rows[tableResults]; rows != MaxUnacknowledged {
		t.Errorf("%d results are stored", rows)
	}
}

func TestAcknowledgementNeverExceedsTheExecuted(t *testing.T) {
	f := formed(t)
	f.refused(of("s", "admin/a", 1, 900, invalidate("/data")), statev1.Refusal_CODE_NOT_FOUND)
	f.refused(of("s", "admin/a", 2, 900, invalidate("/data")), statev1.Refusal_CODE_NOT_FOUND)
	if s := f.View().Session("s"); s.GetAcknowledged() != 1 || s.GetLast() != 2 {
		t.Errorf("the session is %v", s)
	}
	if rows := f.View().head.rows[tableResults]; rows != 1 {
		t.Errorf("%d results are stored", rows)
	}
}

func TestNothingBeforeTheClusterIsFormed(t *testing.T) {
	f := newFixture(t)
	for _, c := range []*statev1.Command{open("s", "a"), by(1, mount("/d", "oss://b/")), by(1, register("w", "i")), remove("w", ""), expire(1, "s")} {
		f.unchanged(func() { f.refused(c, statev1.Refusal_CODE_NOT_FORMED) })
	}
	f.must(form("c"))
	f.unchanged(func() {
		if again := f.do(&statev1.Command{Operation: form("c").GetOperation(), Time: 1}); again.GetChanged() || again.GetRefusal() != nil {
			t.Errorf("forming the same cluster again: got %v", again)
		}
	})
	if r := f.refused(form("d"), statev1.Refusal_CODE_OTHER_CLUSTER); r.GetRefusal().GetOther() != "c" {
		t.Errorf("forming another cluster: got %v", r)
	}
	if id := f.View().ClusterID(); id != "c" {
		t.Errorf("the cluster is %q", id)
	}
}

func TestCommandsThatNameNothingAreRefused(t *testing.T) {
	f := formed(t)
	for i, c := range []*statev1.Command{register("", "i"), register("w", ""), mount("", "oss://b/")} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			f.refused(by(uint64(i)+1, c), statev1.Refusal_CODE_INVALID)
		})
	}
	f.refused(open("", "a"), statev1.Refusal_CODE_INVALID)
}
