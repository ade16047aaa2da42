package client

import (
	"errors"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

func TestCompareMembers(t *testing.T) {
	response := func(checksum string, digests ...*masterv1.Digest) *masterv1.ChecksumsResponse {
		return &masterv1.ChecksumsResponse{First: 3, Last: 9, Checksum: checksum, Digests: digests}
	}
	at := func(index uint64, digest string) *masterv1.Digest {
		return &masterv1.Digest{Index: index, Digest: digest}
	}
	for name, test := range map[string]struct {
		responses []*masterv1.ChecksumsResponse
		differ    bool
		index     uint64
	}{
		"equal":           {[]*masterv1.ChecksumsResponse{response("a", at(9, "x"), at(8, "y")), response("a", at(8, "y"))}, false, 8},
		"another log":     {[]*masterv1.ChecksumsResponse{response("a", at(8, "y")), response("b", at(8, "y"))}, true, 8},
		"another state":   {[]*masterv1.ChecksumsResponse{response("a", at(8, "y")), response("a", at(8, "z"))}, true, 8},
		"no common state": {[]*masterv1.ChecksumsResponse{response("a", at(8, "y")), response("a", at(7, "z"))}, false, 0},
		"one is missing":  {[]*masterv1.ChecksumsResponse{response("a", at(8, "y")), nil}, false, 8},
	} {
		t.Run(name, func(t *testing.T) {
			v := &Verification{First: 3, Last: 9, Members: make([]VerifiedMember, len(test.responses))}
			for i, r := range test.responses {
				if r == nil {
					v.Members[i].Err = errors.New("it did not respond")
				}
			}
			v.compare(test.responses)
			if v.Differ() != test.differ || v.DigestIndex != test.index {
				t.Errorf("differ %v at index %d: %+v", v.Differ(), v.DigestIndex, v.Members)
			}
		})
	}
	short := &Verification{First: 3, Last: 9, Members: make([]VerifiedMember, 1)}
	short.compare([]*masterv1.ChecksumsResponse{{First: 5, Last: 9, Checksum: "a"}})
	if short.Members[0].Err == nil {
		t.Error("a log that lacks entries was compared")
	}
}
