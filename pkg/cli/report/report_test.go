package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func sample() *Runtime {
	r := New(Ref{Namespace: "n", Name: "r"}, time.Unix(0, 0))
	for i, name := range []string{"m-0", "m-1", "m-2"} {
		state := "FOLLOWER"
		if i == 1 {
			state = "LEADER"
		}
		r.Masters = append(r.Masters, Master{Name: name, State: state, Voter: true, Ready: true, Term: 2})
		r.Workers = append(r.Workers, Worker{Name: "w-" + name, Registered: true, Live: true})
	}
	r.Mounts = []Mount{{Path: "/a"}}
	r.Fuses = []Fuse{{Name: "f-0", Ready: true}}
	return r
}

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(r *Runtime)
		health  Health
		problem string
	}{
		"all well":                {func(*Runtime) {}, Healthy, ""},
		"a master unreachable":    {func(r *Runtime) { r.Masters[0].Error = "timeout" }, Degraded, "m-0 is unreachable"},
		"no leader":               {func(r *Runtime) { r.Masters[1].State = "FOLLOWER" }, Degraded, "no master leads"},
		"a learner":               {func(r *Runtime) { r.Masters[2].Voter = false }, Degraded, "m-2 does not vote yet"},
		"a master behind":         {func(r *Runtime) { r.Masters[2].Ready = false }, Degraded, "m-2 is not ready"},
		"a master with a reason":  {func(r *Runtime) { r.Masters[2].Ready, r.Masters[2].Reason = false, "it is 70 entries behind" }, Degraded, "m-2 is not ready: it is 70 entries behind"},
		"a full disk of a master": {func(r *Runtime) { r.Masters[0].ReadOnly, r.Masters[0].Reason = true, "its disk is full" }, Degraded, "m-0 accepts no changes: its disk is full"},
		"a worker unreachable":    {func(r *Runtime) { r.Workers[0].Error = "timeout" }, Degraded, "w-m-0 is unreachable"},
		"a worker not in":         {func(r *Runtime) { r.Workers[0].Registered = false }, Degraded, "not in the ring"},
		"a full disk":             {func(r *Runtime) { r.Workers[0].Tiers = []Tier{{Medium: "HDD", Error: "full"}} }, Degraded, "caches nothing new in HDD: full"},
		"a store that refuses":    {func(r *Runtime) { r.Mounts[0].Error = "403" }, Degraded, "/a: 403"},
		"a mount not served":      {func(r *Runtime) { r.Fuses[0].Ready = false }, Degraded, "f-0: it does not serve"},
		"no master reachable":     {func(r *Runtime) { eachMaster(r, func(m *Master) { m.Error = "timeout" }) }, Degraded, "no master leads"},
		"workers and mount out":   {func(r *Runtime) { eachWorker(r, "timeout"); r.Fuses[0].Ready = false }, Unavailable, ""},
		"nothing reachable": {func(r *Runtime) {
			eachMaster(r, func(m *Master) { m.Error = "timeout" })
			eachWorker(r, "timeout")
		}, Unavailable, ""},
		"only a mount": {func(r *Runtime) { r.Masters, r.Workers = nil, nil }, Healthy, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := sample()
			test.change(r)
			r.EvaluateHealth()
			if r.Health != test.health || !strings.Contains(strings.Join(r.Problems, "\n"), test.problem) {
				t.Errorf("got %s, %q, want %s, %q", r.Health, r.Problems, test.health, test.problem)
			}
			if (r.Health == Healthy) != (len(r.Problems) == 0) {
				t.Errorf("%s with problems %q", r.Health, r.Problems)
			}
		})
	}
}

func eachMaster(r *Runtime, change func(*Master)) {
	for i := range r.Masters {
		change(&r.Masters[i])
	}
}

func eachWorker(r *Runtime, err string) {
	for i := range r.Workers {
		r.Workers[i].Error = err
	}
}

func TestLeaderIsTheOneOfTheNewestTerm(t *testing.T) {
	r := sample()
	r.Masters[0].State, r.Masters[0].Term = "LEADER", 1 // a stale view
	if l := r.Leader(); l == nil || l.Name != "m-1" {
		t.Errorf("got %v", l)
	}
}

func TestSum(t *testing.T) {
	r := sample()
	r.Workers[0].Tiers = []Tier{{Medium: "HDD", Capacity: 10, Used: 1, Files: 1}, {Medium: "MEM", Capacity: 2, Used: 2}}
	r.Workers[0].Tiers[0].Error, r.Workers[0].Tiers[0].HitBytes, r.Workers[0].Tiers[0].Demoted = "full", 5, 1
	r.Workers[1].Tiers = []Tier{{Medium: "HDD", Capacity: 10, Used: 3, Files: 2, Hits: 2, HitBytes: 6, Promoted: 3, Error: "slow"}}
	r.Workers[0].HitBytes, r.Workers[1].MissBytes = 3, 1
	r.Sum()
	c := r.Cache
	if c.Capacity != 22 || c.Used != 6 || len(c.Tiers) != 2 || c.Tiers[0].Medium != "MEM" || c.Tiers[1].Used != 4 || c.Tiers[1].Files != 3 || *c.HitRatio != 0.75 {
		t.Errorf("got %+v", c)
	}
	if disk := c.Tiers[1]; disk.Failing != 2 || disk.Error != "" || disk.Hits != 2 || disk.HitBytes != 11 || disk.Promoted != 3 || disk.Demoted != 1 {
		t.Errorf("the disks have %+v", disk)
	}
	r = sample()
	r.Sum()
	if r.Cache.HitRatio != nil {
		t.Errorf("a ratio without reads: %v", *r.Cache.HitRatio)
	}
}

// TestListsAreNeverNull checks that empty lists are [] in JSON.
func TestListsAreNeverNull(t *testing.T) {
	r := New(Ref{Namespace: "n", Name: "r"}, time.Unix(0, 0))
	r.Sum()
	r.EvaluateHealth()
	for _, object := range []any{r, NewList(nil), r.DeepCopyObject()} {
		raw, err := json.Marshal(object)
		if err != nil || strings.Contains(string(raw), "null") {
			t.Errorf("error %v, got %s", err, raw)
		}
	}
}
