package mtls

import "github.com/jindo-io/jindo/pkg/rpc/commonv1"

// View returns what the holder of the certificate may see of a view: the mounts
// that it may read, with the options and the name of the secret only where it may
// open the store, and all of the rings, which every reader needs. It returns the
// view itself, which must not be modified, if nothing has to be left out.
func (s Scope) View(view *commonv1.ClusterView) *commonv1.ClusterView {
	if s.all || view == nil {
		return view
	}
	out := &commonv1.ClusterView{
		ClusterId: view.GetClusterId(), FormatVersion: view.GetFormatVersion(), Index: view.GetIndex(),
		Ring: view.GetRing(), PreviousRings: view.GetPreviousRings(),
	}
	for _, m := range view.GetMounts() {
		switch read, store := s.rights(m.GetPath()); {
		case store:
			out.Mounts = append(out.Mounts, m)
		case read:
			out.Mounts = append(out.Mounts, &commonv1.Mount{
				Id: m.GetId(), Name: m.GetName(), Path: m.GetPath(), Uri: m.GetUri(),
				ReadOnly: m.GetReadOnly(), MetaPolicy: m.GetMetaPolicy(), Epoch: m.GetEpoch(),
			})
		}
	}
	return out
}
