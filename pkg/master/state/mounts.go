package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/jindo-io/jindo/pkg/master/state/statev1"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// MaxMounts is the maximum number of mounts of a cluster.
const MaxMounts = 4096

func (t *tx) mountAt(path string) *commonv1.Mount {
	return find[*commonv1.Mount](t, tableMounts, indexPath, text(path))
}

// putMount adds a mount, or changes the one at its path. A mount of another
// store at the same path is a new mount: it gets a new id, so that data cached
// for the old one is not used for it.
func (t *tx) putMount(op *statev1.PutMount) *statev1.Result {
	want := clone(op.GetMount())
	if want.GetMetaPolicy() == commonv1.MetaPolicy_META_POLICY_UNSPECIFIED {
		want.MetaPolicy = commonv1.MetaPolicy_META_POLICY_ALWAYS
	}
	if want.GetName() != "" {
		named := find[*commonv1.Mount](t, tableMounts, indexName, text(want.GetName()))
		if named != nil && named.GetPath() != want.GetPath() {
			return refuse(statev1.Refusal_CODE_NAME_TAKEN, want.GetName(), named.GetPath())
		}
	}
	old := t.mountAt(want.GetPath())
	switch {
	case old == nil && t.rows[tableMounts] >= MaxMounts:
		return refuse(statev1.Refusal_CODE_LIMIT, "mounts", "")
	case old != nil && old.GetUri() == want.GetUri():
		want.Id, want.Epoch = old.GetId(), old.GetEpoch()
		if proto.Equal(old, want) {
			return &statev1.Result{Mount: old}
		}
		want.Epoch++
		put(t, tableMounts, old, want)
	default:
		if old != nil {
			t.drop(tableMounts, old)
		}
		t.meta.Mounts++
		want.Id, want.Epoch = fmt.Sprintf("m%d-%s", t.meta.GetMounts(), op.GetNonce()), 1
		put(t, tableMounts, nil, want)
	}
	return &statev1.Result{Changed: true, Mount: want}
}

func (t *tx) removeMount(op *statev1.RemoveMount) *statev1.Result {
	mount := t.mountAt(op.GetPath())
	if mount == nil {
		return refuse(statev1.Refusal_CODE_NOT_FOUND, op.GetPath(), "")
	}
	t.drop(tableMounts, mount)
	return &statev1.Result{Changed: true, Mount: mount}
}

func (t *tx) invalidate(op *statev1.Invalidate) *statev1.Result {
	old := t.mountAt(op.GetPath())
	if old == nil {
		return refuse(statev1.Refusal_CODE_NOT_FOUND, op.GetPath(), "")
	}
	mount := clone(old)
	mount.Epoch++
	put(t, tableMounts, old, mount)
	return &statev1.Result{Changed: true, Mount: mount}
}
