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

// directories checks whether a runtime may use the directories of nodes of its effective
// spec. The administrator may change the setting, and the label of the namespace, at any
// time, so both are checked in every pass.
//
// Input: the desired state. Output: why directories are refused.
type directories struct {
	live      client.Reader
	hostPaths hostpath.Policy
}

// refusal is why a runtime may not use its directories of nodes.
type refusal struct {
	// podSecurity is the reason why the namespace forbids all of them; nil if it does
	// not.
	podSecurity error
	// Messages for users; empty if they do not apply.
	podSecurityProblem, hostPathProblem string
}

func (d directories) reconcile(ctx context.Context, want *desired) (refusal, error) {
	var refused refusal
	if !render.UsesHostPaths(want.plan, want.runtime) {
		return refused, nil
	}
	namespace := &corev1.Namespace{}
	err := d.live.Get(ctx, client.ObjectKey{Name: want.runtime.Namespace}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return refused, fmt.Errorf("get namespace %s: %w", want.runtime.Namespace, err)
	}
	refused.podSecurity = hostpath.CheckNamespace(want.runtime.Namespace, namespace.Labels)
	input := render.Input{Plan: want.plan, HostPaths: d.hostPaths, PodSecurity: refused.podSecurity}
	return refused, refused.observe(input.HostPathAllowed())
}

// observe records the reasons in an error of rendering, and returns any other error.
// Objects that were not rendered are left as they are: pods that run keep running.
func (f *refusal) observe(err error) error {
	var refused *render.HostPathError
	f.podSecurityProblem, f.hostPathProblem = "", ""
	if errors.As(err, &refused) {
		f.podSecurityProblem, f.hostPathProblem = refused.Messages(hostpath.ErrPodSecurity), refused.Messages(hostpath.ErrRefused)
		err = nil
	}
	return err
}

// any reports whether the runtime may not use some of its directories.
func (f *refusal) any() bool { return f.podSecurityProblem != "" || f.hostPathProblem != "" }
