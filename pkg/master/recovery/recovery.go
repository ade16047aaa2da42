// Package recovery describes the recovery of a cluster from one master for people.
package recovery

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Write writes what a recovery from a master keeps and what it loses. done says that it
// was carried out.
func Write(w io.Writer, master string, plan *masterv1.RecoverResponse, done bool) error {
	act := "would continue"
	if done {
		act = "continues"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s alone, in epoch %d of the cluster.\n", master, act, plan.GetEpoch())
	fmt.Fprintf(&text, "Kept  all changes up to entry %s of term %s; the last ones become valid even if no client received a response\n",
		count(plan.GetLastIndex()), count(plan.GetLastTerm()))
	for _, lost := range plan.GetLost() {
		fmt.Fprintf(&text, "Lost  %s: %s\n", lost.GetMemberId(), fate(plan, lost))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// fate says what is lost with a member.
func fate(plan *masterv1.RecoverResponse, lost *masterv1.LostMember) string {
	text := "its disk is not used again"
	if lost.GetResponds() {
		text = "it responds, and joins as a new member with an empty disk"
	}
	ahead := lost.GetLastTerm() > plan.GetLastTerm() ||
		lost.GetLastTerm() == plan.GetLastTerm() && lost.GetLastIndex() > plan.GetLastIndex()
	switch {
	case ahead:
		return fmt.Sprintf("%s; it had entry %s of term %s: changes after entry %s ARE LOST, and may have been acknowledged",
			text, count(lost.GetLastIndex()), count(lost.GetLastTerm()), count(plan.GetLastIndex()))
	case lost.GetVoter():
		return text + "; changes that were acknowledged after its last contact with this master MAY BE LOST"
	}
	return text
}

func count(n uint64) string { return humanize.Comma(int64(min(n, 1<<62))) }
