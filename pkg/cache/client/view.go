package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/jindo-io/jindo/pkg/atomicfile"
	"github.com/jindo-io/jindo/pkg/cache/ring"
	"github.com/jindo-io/jindo/pkg/cache/wire"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

// view is a ClusterView with its rings. It is immutable.
type view struct {
	*commonv1.ClusterView
	ring *ring.Ring
	// previous rings, newest first, without the current one.
	previous []*ring.Ring
	// outside are the workers of the topology that are not in the ring.
	outside []*commonv1.RingMember
	// epochs of the mounts by id.
	epochs map[string]uint64
}

// newView returns a view. If the message has no ring, the workers of the
// topology are the ring.
func newView(v *commonv1.ClusterView, r topology.Topology) *view {
	out := &view{ClusterView: v, ring: ring.New(v.GetRing()), epochs: map[string]uint64{}}
	if out.ring.Len() == 0 {
		out.ring = topologyRing(r)
	}
	in := map[string]bool{}
	for _, m := range out.ring.Members() {
		in[m.GetName()] = true
	}
	for _, m := range topologyRing(r).Members() {
		if !in[m.GetName()] {
			out.outside = append(out.outside, m)
		}
	}
	for _, previous := range v.GetPreviousRings() {
		if previous.GetEpoch() != v.GetRing().GetEpoch() {
			out.previous = append(out.previous, ring.New(previous))
		}
	}
	for _, m := range v.GetMounts() {
		out.epochs[m.GetId()] = m.GetEpoch()
	}
	return out
}

// topologyRing returns the ring of a client without a view.
func topologyRing(r topology.Topology) *ring.Ring {
	members := make([]*commonv1.RingMember, 0, len(r.Workers))
	for _, w := range r.Workers {
		members = append(members, &commonv1.RingMember{Name: w.Name, Host: w.Host, Port: uint32(w.Port), Weight: 1})
	}
	return ring.New(&commonv1.Ring{Members: members})
}

// loadView reads the view file. It returns nil if there is none.
func loadView(path string) (*commonv1.ClusterView, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the view: %w", err)
	}
	v, err := wire.ClientView.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("read the view in %s: %w", path, err)
	}
	return v, nil
}

// saveView replaces the file so that a crash leaves the old one or the new one.
func saveView(path string, v *commonv1.ClusterView) error {
	if path == "" {
		return nil
	}
	raw, err := wire.ClientView.Encode(v)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, raw, 0o600); err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	return nil
}
