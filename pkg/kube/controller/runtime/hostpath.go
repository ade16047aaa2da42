package runtime

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/hostpath"
	"github.com/jindo-io/jindo/pkg/kube/render"
)

// checkNamespace returns why the namespace of the runtime forbids directories of
// nodes, as problem; nil if it does not, or if the plan uses none. The label may be
// set at any time, so it is read in every pass.
func (p *pass) checkNamespace(ctx context.Context) (problem, err error) {
	if !render.UsesHostPaths(p.plan, p.want) {
		return nil, nil
	}
	namespace := &corev1.Namespace{}
	err = p.r.Live.Get(ctx, client.ObjectKey{Name: p.runtime.Namespace}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get namespace %s: %w", p.runtime.Namespace, err)
	}
	return hostpath.CheckNamespace(p.runtime.Namespace, namespace.Labels), nil
}

// observeHostPaths records why the runtime may not use its directories of nodes, from the
// error of rendering, and returns any other error. Objects that were not rendered are
// left as they are: pods that run keep running.
func (p *pass) observeHostPaths(err error) error {
	var refused *render.HostPathError
	p.podSecurityProblem, p.hostPathProblem = "", ""
	if errors.As(err, &refused) {
		p.podSecurityProblem, p.hostPathProblem = refused.Messages(hostpath.ErrPodSecurity), refused.Messages(hostpath.ErrRefused)
		err = nil
	}
	return err
}

// hostPathsRefused reports whether the runtime may not use its directories of nodes.
func (p *pass) hostPathsRefused() bool { return p.podSecurityProblem != "" || p.hostPathProblem != "" }
