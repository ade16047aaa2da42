package recovery

import (
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestWrite(t *testing.T) {
	plan := &masterv1.RecoverResponse{MemberId: "m-0-aa", LastTerm: 3, LastIndex: 1200, Epoch: 1, Lost: []*masterv1.LostMember{
		{Name: "m-1", MemberId: "m-1-bb", Voter: true, LastTerm: 3, LastIndex: 1300},
		{Name: "m-2", MemberId: "m-2-cc", Voter: true, LastTerm: 2, LastIndex: 9000, Responds: true},
		{Name: "m-3", MemberId: "m-3-dd"},
	}}
	const rest = `Kept  all changes up to entry 1,200 of term 3; the last ones become valid even if no client received a response
Lost  m-1-bb: its disk is not used again; it had entry 1,300 of term 3: changes after entry 1,200 ARE LOST, and may have been acknowledged
Lost  m-2-cc: it responds, and joins as a new member with an empty disk; changes that were acknowledged after its last contact with this master MAY BE LOST
Lost  m-3-dd: its disk is not used again
`
	for done, want := range map[bool]string{
		false: "m-0 would continue alone, in epoch 1 of the cluster.\n" + rest,
		true:  "m-0 continues alone, in epoch 1 of the cluster.\n" + rest,
	} {
		var got strings.Builder
		if err := Write(&got, "m-0", plan, done); err != nil || got.String() != want {
			t.Errorf("got %q, %v", got.String(), err)
		}
	}
}
