package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"
	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Evaluation compares the members' own views of a group.
type Evaluation struct {
	// Voters and NonVoters count the members of the newest configuration.
	Voters, NonVoters int
	// Quorum is the majority of the voters, Reachable the number of voters that
	// responded.
	Quorum, Reachable int
	// Health is what the leader reports; nil if it does not.
	Health *report.GroupHealth
	// Digest is a sentence that reports whether the replicas hold the same state.
	Digest string
	// Disagreements are sentences; the group is healthy only without any.
	Disagreements []string
}

// Evaluate compares the views of the members.
func Evaluate(r *report.Runtime) Evaluation {
	e := Evaluation{Health: r.GroupHealth()}
	for _, p := range newestPeers(r) {
		if p.Voter {
			e.Voters++
		} else {
			e.NonVoters++
		}
		if reachable(r, p.Name) && p.Voter {
			e.Reachable++
		}
	}
	if e.Voters > 0 {
		e.Quorum = e.Voters/2 + 1
	}
	e.compareLeaders(r)
	e.compareDigests(r)
	return e
}

// newestPeers returns the members of the configuration with the largest index that
// a member reports, sorted by name.
func newestPeers(r *report.Runtime) []report.Peer {
	var peers []report.Peer
	newest := uint64(0)
	for _, m := range r.Masters {
		if m.Error == "" && len(m.Peers) > 0 && (peers == nil || m.ConfigurationIndex > newest) {
			peers, newest = m.Peers, m.ConfigurationIndex
		}
	}
	return slices.SortedFunc(slices.Values(peers), func(a, b report.Peer) int { return strings.Compare(a.Name, b.Name) })
}

// reachable reports whether a master responded.
func reachable(r *report.Runtime, name string) bool {
	return slices.ContainsFunc(r.Masters, func(m report.Master) bool { return m.Name == name && m.Error == "" })
}

// compareLeaders finds members that report another leader or term. A group that
// agrees that there is no leader is a disagreement too: it cannot serve.
func (e *Evaluation) compareLeaders(r *report.Runtime) {
	views := map[string][]string{}
	var order []string
	led := false
	for _, m := range r.Masters {
		if m.Error != "" {
			continue
		}
		leader := m.Leader
		if leader == "" || m.State == "CANDIDATE" {
			leader = "no master"
		} else {
			led = true
		}
		view := fmt.Sprintf("%s leads in term %s", leader, printer.Count(m.Term))
		if views[view] == nil {
			order = append(order, view)
		}
		views[view] = append(views[view], m.Name)
	}
	if len(order) == 0 || len(order) == 1 && led {
		return
	}
	for _, view := range order {
		e.Disagreements = append(e.Disagreements, fmt.Sprintf("%s: %s", strings.Join(views[view], ", "), view))
	}
}

// compareDigests compares the state at the largest index for which every reachable
// member has a digest.
func (e *Evaluation) compareDigests(r *report.Runtime) {
	var responding []report.Master
	for _, m := range r.Masters {
		if m.Error == "" && len(m.Digests) > 0 {
			responding = append(responding, m)
		}
	}
	switch len(responding) {
	case 0:
		e.Digest = "none reported"
		return
	case 1:
		d := responding[0].Digests[0]
		e.Digest = fmt.Sprintf("only %s reported one: %s at applied %s", responding[0].Name, d.Digest, printer.Count(d.Index))
		return
	}
	index, found := commonIndex(responding)
	if !found {
		e.Digest = "not comparable: the members have no index in common"
		return
	}
	byDigest := map[string][]string{}
	for _, m := range responding {
		d := digestAt(m, index)
		byDigest[d] = append(byDigest[d], m.Name)
	}
	at := printer.Count(index)
	if len(byDigest) == 1 {
		all := fmt.Sprintf("all %d", len(responding))
		if len(responding) < len(r.Masters) {
			all = fmt.Sprintf("%d of %d", len(responding), len(r.Masters))
		}
		e.Digest = fmt.Sprintf("%s agree at applied %s  (%s)", all, at, digestAt(responding[0], index))
		return
	}
	e.Digest = fmt.Sprintf("the members DISAGREE at applied %s", at)
	for _, m := range responding {
		e.Disagreements = append(e.Disagreements, fmt.Sprintf("%s: digest %s at applied %s", m.Name, digestAt(m, index), at))
	}
}

func commonIndex(masters []report.Master) (uint64, bool) {
	best, found := uint64(0), false
	for _, d := range masters[0].Digests {
		everywhere := !slices.ContainsFunc(masters[1:], func(m report.Master) bool { return digestAt(m, d.Index) == "" })
		if everywhere && (!found || d.Index > best) {
			best, found = d.Index, true
		}
	}
	return best, found
}

func digestAt(m report.Master, index uint64) string {
	for _, d := range m.Digests {
		if d.Index == index {
			return d.Digest
		}
	}
	return ""
}
