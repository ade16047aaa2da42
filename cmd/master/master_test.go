package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

func TestOneMasterServes(t *testing.T) {
	c := newCluster(t, 1)
	c.start(0)
	c.leader()
	mount := c.mount("/data")
	if mount.GetId() == "" || mount.GetEpoch() == 0 {
		t.Errorf("the returned mount is %v", mount)
	}
	member, peer := worker(0)
	view, err := c.client(peer).RegisterWorker(t.Context(), member, c.Topology.ClusterID)
	if err != nil {
		t.Fatal(err)
	}
	if got := view.GetRing().GetMembers(); len(got) != 1 || got[0].GetId() != member.GetId() || view.GetRing().GetEpoch() != 1 {
		t.Errorf("after registering, the ring is %v", view.GetRing())
	}
	reporting := c.client(peer)
	c.eventually("the master receives a heartbeat", func() error {
		beat := reporting.Heartbeat(t.Context(), &commonv1.WorkerReport{Id: member.GetId(), Name: member.GetName(), HitBytes: 7}, c.Topology.ClusterID)[0]
		if beat.Err == nil && (!beat.Response.GetRegistered() || !beat.Response.GetLeader() || beat.Response.GetViewIndex() != view.GetIndex()) {
			t.Errorf("heartbeat: got %v", beat.Response)
		}
		return beat.Err
	})
	workers, err := c.admin.ListWorkers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(workers) != 1 || !workers[0].GetLive() || workers[0].GetReport().GetHitBytes() != 7 {
		t.Errorf("the workers are %v", workers)
	}
	if code, body := c.get(0, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz returned %d: %s", code, body)
	}
	_, metrics := c.get(0, "/metrics")
	for _, name := range []string{
		`jindo_master_commands_total{operation="put_mount",outcome="executed"} 1`, "jindo_master_proposer_batch_commands_count",
		"jindo_master_read_index_seconds_count", "jindo_master_sessions 2", "jindo_master_workers_live 1", "jindo_master_mounts 1",
	} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics has no %s", name)
		}
	}
	if state := c.end(0, syscall.SIGTERM); !state.Success() {
		t.Errorf("after SIGTERM the master exited with %s", state)
	}
}
