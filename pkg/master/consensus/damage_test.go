package consensus

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

func TestDamageIsFoundAndNeverServed(t *testing.T) {
	damage := func(change func(*raft.Log)) func(t *testing.T, d disk) {
		return func(t *testing.T, d disk) {
			var l raft.Log
			if err := d.GetLog(3, &l); err != nil {
				t.Fatal(err)
			}
			change(&l)
			if err := d.StoreLog(&l); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, spoil := range map[string]func(t *testing.T, d disk){
		"a byte of a command": damage(func(l *raft.Log) { l.Data = append([]byte("x"), l.Data[1:]...) }),
		"a command cut short": damage(func(l *raft.Log) { l.Data = nil }),
		"the term":            damage(func(l *raft.Log) { l.Term++ }),
		"the kind":            damage(func(l *raft.Log) { l.Type = raft.LogNoop }),
		"the checksum":        damage(func(l *raft.Log) { l.Extensions[2] ^= 1 }),
		"no checksum":         damage(func(l *raft.Log) { l.Extensions = nil }),
		"an entry is missing": func(t *testing.T, d disk) {
			if err := d.DeleteRange(3, 3); err != nil {
				t.Fatal(err)
			}
		},
		"the vote": func(t *testing.T, d disk) {
			if err := d.Set([]byte("LastVoteCand"), []byte("another member")); err != nil {
				t.Fatal(err)
			}
		},
		"the term of this member": func(t *testing.T, d disk) {
			if err := d.SetUint64([]byte("CurrentTerm"), 1); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, faulty, failed := openFaulty(t, filepath.Join(t.TempDir(), "log"))
			if err := g.StoreLogs(entries(1, 5)); err != nil {
				t.Fatal(err)
			}
			for key, value := range map[string]string{"LastVoteCand": "m-1", "CurrentTerm": "12345678"} {
				if err := g.Set([]byte(key), []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.check(0); err != nil {
				t.Fatalf("before the damage: %v", err)
			}
			spoil(t, faulty.disk)
			if err := g.check(0); err == nil {
				t.Error("start does not find the damage")
			}
			if name == "an entry is missing" {
				return
			}
			served := returns(func() {
				_ = g.GetLog(3, &raft.Log{})
				_, _ = g.Get([]byte("LastVoteCand"))
				_, _ = g.GetUint64([]byte("CurrentTerm"))
			})
			if served {
				t.Error("the damaged entry was returned")
			} else if err := <-failed; !errors.Is(err, errDamaged) {
				t.Errorf("failed with %v", err)
			}
		})
	}
}

func TestAFollowerRefusesDamageFromItsLeader(t *testing.T) {
	g, _, failed := openFaulty(t, filepath.Join(t.TempDir(), "log"))
	sent := entries(1, 1)[0]
	seal(sent)
	sent.Data = []byte("changed in transit")
	if err := g.StoreLogs([]*raft.Log{sent}); !errors.Is(err, errDamaged) {
		t.Fatalf("got %v", err)
	}
	if last, _ := g.LastIndex(); last != 0 || len(failed) != 0 {
		t.Fatal("the entry was stored, or stopped this member although its disk is not damaged")
	}
}
