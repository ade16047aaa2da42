package raft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/printer"

	"github.com/jindo-io/jindo/pkg/cli/report"
)

// Verdict is what the members' own words come to.
type Verdict struct {
	// Voters and NonVoters of the newest configuration.
	Voters, NonVoters int
	// Quorum of the voters, Reachable voters that answered.
	Quorum, Reachable int
	// Digest is the sentence about whether the replicas hold the same state.
	Digest string
	// Disagreements, a sentence each; any of them means trouble.
	Disagreements []string
}

// Judge compares what the members say.
func Judge(r *report.Runtime) Verdict {
	var v Verdict
	for _, p := range newestPeers(r) {
		if p.Voter {
			v.Voters++
		} else {
			v.NonVoters++
		}
		if answers(r, p.Name) && p.Voter {
			v.Reachable++
		}
	}
	if v.Voters > 0 {
		v.Quorum = v.Voters/2 + 1
	}
	v.compareLeaders(r)
	v.compareDigests(r)
	return v
}

// newestPeers is the configuration with the largest index that anybody has.
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

func answers(r *report.Runtime, name string) bool {
	return slices.ContainsFunc(r.Masters, func(m report.Master) bool { return m.Name == name && m.Error == "" })
}

// compareLeaders finds members that know another leader or term, or that all
// know none: a group without a leader serves nobody, however well it agrees.
func (v *Verdict) compareLeaders(r *report.Runtime) {
	views := map[string][]string{}
	var order []string
	led := false
	for _, m := range r.Masters {
		if m.Error != "" {
			continue
		}
		leader := m.Leader
		if leader == "" || m.State == "CANDIDATE" {
			leader = "nobody"
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
		v.Disagreements = append(v.Disagreements, fmt.Sprintf("%s: %s", strings.Join(views[view], ", "), view))
	}
}

// compareDigests compares at the largest index that every member that answers
// remembers.
func (v *Verdict) compareDigests(r *report.Runtime) {
	var answering []report.Master
	for _, m := range r.Masters {
		if m.Error == "" && len(m.Digests) > 0 {
			answering = append(answering, m)
		}
	}
	switch len(answering) {
	case 0:
		v.Digest = "nobody has told one"
		return
	case 1:
		d := answering[0].Digests[0]
		v.Digest = fmt.Sprintf("only %s has told one: %s at applied %s", answering[0].Name, d.Digest, printer.Count(d.Index))
		return
	}
	index, found := commonIndex(answering)
	if !found {
		v.Digest = "not comparable: the members remember no index in common"
		return
	}
	byDigest := map[string][]string{}
	for _, m := range answering {
		d := digestAt(m, index)
		byDigest[d] = append(byDigest[d], m.Name)
	}
	at := printer.Count(index)
	if len(byDigest) == 1 {
		all := fmt.Sprintf("all %d", len(answering))
		if len(answering) < len(r.Masters) {
			all = fmt.Sprintf("%d of %d", len(answering), len(r.Masters))
		}
		v.Digest = fmt.Sprintf("%s agree at applied %s  (%s)", all, at, digestAt(answering[0], index))
		return
	}
	v.Digest = fmt.Sprintf("the members DISAGREE at applied %s", at)
	for _, m := range answering {
		v.Disagreements = append(v.Disagreements, fmt.Sprintf("%s: digest %s at applied %s", m.Name, digestAt(m, index), at))
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
