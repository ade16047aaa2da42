package consensus

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// view is the state that the gauges are computed from.
type view struct {
	status  *masterv1.StatusResponse
	leading bool
}

func (n *Node) view() view {
	return view{status: n.Status(), leading: n.readyTerm() != 0}
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func gauges() []gauge {
	of := func(name, help string, value func(view) float64) gauge {
		return gauge{prometheus.NewDesc(metricPrefix+name, help, nil, nil), value}
	}
	return []gauge{
		of("leader", "1 while this member is ready as leader.", func(v view) float64 { return boolGauge(v.leading) }),
		of("voter", "1 while this member is a voter.", func(v view) float64 { return boolGauge(v.status.GetVoter()) }),
		of("leader_known", "1 while this member knows the leader.", func(v view) float64 { return boolGauge(v.status.GetLeader() != "") }),
		of("term", "Newest term that this member has seen.", func(v view) float64 { return float64(v.status.GetTerm()) }),
		of("last_log_index", "Index of the last entry on this member's disk.", func(v view) float64 { return float64(v.status.GetLastLogIndex()) }),
		of("commit_index", "Index up to which this member knows entries to be committed.", func(v view) float64 { return float64(v.status.GetCommitIndex()) }),
		of("applied_index", "Index that this member's state machine has applied.", func(v view) float64 { return float64(v.status.GetAppliedIndex()) }),
		of("snapshot_index", "Index of the newest snapshot.", func(v view) float64 { return float64(v.status.GetLastSnapshotIndex()) }),
		of("read_only", "1 while this member refuses commands because its disk is full.", func(v view) float64 { return boolGauge(v.status.GetReadOnly()) }),
		of("healthy", "1 while this leader observes that every master of the topology is a voter without a fault; 0 on a leader that does not, and on other members.", func(v view) float64 { return boolGauge(v.leading && v.status.GetHealth().GetHealthy()) }),
		of("failure_tolerance", "How many voters may fail now without a loss of the majority, as this leader observes it; 0 on other members.", func(v view) float64 {
			return float64(v.status.GetHealth().GetFailureTolerance())
		}),
		of("log_entries", "Entries in the log.", func(v view) float64 { return float64(v.status.GetLogEntries()) }),
		of("log_bytes", "Size of the log file, in bytes. It never shrinks.", func(v view) float64 { return float64(v.status.GetLogBytes()) }),
		of("last_contact_seconds", "Seconds since this follower last received from its leader; 0 on the leader.", func(v view) float64 { return v.status.GetLastContact().AsDuration().Seconds() }),
	}
}
