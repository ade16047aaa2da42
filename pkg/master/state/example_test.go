package state_test

import (
	"fmt"
	"log"

	"github.com/jindo-io/jindo/pkg/master/state"
	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// Two members apply the same log and have the same digest, because Apply is a
// pure function of the state, the index and the entry. The last command of the
// log repeats the request id of the one before, as after a lost response: it
// returns the stored result and changes nothing.
func ExampleMachine_Apply() {
	request := &statev1.Request{Session: "0123456789abcdef", Owner: "admin/ops", Sequence: 1}
	mount := &statev1.Command{Request: request, Time: 3, Operation: &statev1.Command_PutMount{
		PutMount: &statev1.PutMount{Nonce: "n1", Mount: &commonv1.Mount{Name: "data", Path: "/data", Uri: "oss://bucket/"}},
	}}
	commands := []*statev1.Command{
		{Time: 1, Operation: &statev1.Command_FormCluster{
			FormCluster: &statev1.FormCluster{ClusterId: "c1", FormatVersion: state.FormatVersion},
		}},
		{Time: 2, Operation: &statev1.Command_OpenSession{
			OpenSession: &statev1.OpenSession{Session: request.GetSession(), Owner: request.GetOwner(), Ttl: 60e9},
		}},
		mount, mount,
	}

	var digests []state.Digest
	for _, member := range []string{"m-0", "m-1"} {
		machine, err := state.New(func(err error) { log.Fatal(err) })
		if err != nil {
			log.Fatal(err)
		}
		for i, command := range commands {
			entry, err := state.EncodeBatch(state.FormatVersion, []*statev1.Command{command})
			if err != nil {
				log.Fatal(err)
			}
			results, ok := machine.Apply(uint64(i+1), entry).([]*statev1.Result)
			if !ok {
				log.Fatal(machine.Failed())
			}
			if result := results[0]; member == "m-0" {
				fmt.Printf("entry %d: executed by entry %d, changed %t\n", i+1, result.GetIndex(), result.GetChanged())
			}
		}
		digests = append(digests, machine.View().Digest())
		fmt.Printf("%s: %d mount\n", member, machine.View().Mounts())
	}
	fmt.Println("equal digests:", digests[0] == digests[1])
	// Output:
	// entry 1: executed by entry 1, changed true
	// entry 2: executed by entry 2, changed true
	// entry 3: executed by entry 3, changed true
	// entry 4: executed by entry 3, changed true
	// m-0: 1 mount
	// m-1: 1 mount
	// equal digests: true
}
