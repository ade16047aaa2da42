package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/authority"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
)

// formations keeps the record of a runtime's Raft cluster.
//
// Input: the desired state. Output: status.formation, which must be saved before objects
// that depend on it are created.
type formations struct {
	live        client.Reader
	authorities *authority.Manager
	connections *connections
}

// reconcile ensures that the status has a formation, and reports whether it has. A
// runtime whose status was lost gets the one of its masters: records in its namespace
// can be written by users, and may be those of an earlier runtime of the same name.
func (f formations) reconcile(ctx context.Context, r *report, want *desired) (bool, error) {
	if r.status.Formation != nil {
		return true, nil
	}
	masters := &appsv1.StatefulSet{}
	key := client.ObjectKey{Namespace: r.runtime.Namespace, Name: names.Component(r.runtime.Name, "master")}
	err := f.live.Get(ctx, key, masters)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("get StatefulSet %s: %w", key, err)
	}
	if err != nil || !metav1.IsControlledBy(masters, r.runtime) {
		r.status.Formation, err = newFormation()
		return err == nil, err
	}
	id, err := f.queryClusterID(ctx, r, want)
	if err != nil {
		r.setCondition(v1alpha1.RuntimeReady, false, reasonFailed, fmt.Sprintf(
			"the cluster id is missing from the status, and no master has returned it yet: %v", err))
		r.requeueAfter = notReadyInterval
		return false, nil
	}
	r.status.Formation = &v1alpha1.Formation{ClusterID: id, Formed: true}
	return true, nil
}

func newFormation() (*v1alpha1.Formation, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("generate cluster id: %w", err)
	}
	return &v1alpha1.Formation{ClusterID: hex.EncodeToString(id[:])}, nil
}

// queryClusterID returns the cluster id that the masters have stored.
func (f formations) queryClusterID(ctx context.Context, r *report, want *desired) (string, error) {
	ca, err := f.authorities.Authority(ctx, r.runtime)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	masters, err := f.connections.get(r.runtime.UID, render.Topology(want.plan, ""), ca)
	if err != nil {
		return "", err
	}
	failed := errors.New("the runtime has no masters")
	for _, m := range masters.Members(ctx) {
		if m.Err == nil && m.Status.GetClusterId() != "" {
			return m.Status.GetClusterId(), nil
		}
		failed = m.Err
	}
	return "", failed
}
