package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

// addNext sets the command that helps with the cause of the first problem.
func (o *options) addNext(r *report.Runtime) {
	namespace := ""
	if r.Namespace != session.DefaultNamespace {
		namespace = " -n " + r.Namespace
	}
	switch {
	case r.Health == report.Stopped:
		r.Next = fmt.Sprintf("%s local down %s%s   # removes what it left", o.session.Name, r.Name, namespace)
	case len(r.Problems) == 0 || r.Health == report.Starting && r.Cause == string(health.CauseMembers):
	case o.session.Local:
		r.Next = o.nextOnMachine(r, namespace)
	default:
		r.Next = o.session.Suggest(o.nextInCluster(r, namespace))
	}
}

// nextOnMachine returns the command for a runtime on this machine.
func (o *options) nextOnMachine(r *report.Runtime, namespace string) string {
	switch {
	case r.Cause == string(health.CauseStore):
		return fmt.Sprintf("%s local down %s%s   # then correct the mount or its credentials in the manifest, and run local up again", o.session.Name, r.Name, namespace)
	case mastersFail(r):
		return fmt.Sprintf("%s raft status %s%s --local", o.session.Name, r.Name, namespace)
	}
	return fmt.Sprintf("%s local status %s%s", o.session.Name, r.Name, namespace)
}

// nextInCluster returns the command for a runtime in a cluster.
func (o *options) nextInCluster(r *report.Runtime, namespace string) string {
	if r.Unserved {
		return fmt.Sprintf("%s create runtime %s%s", o.session.Name, r.Name, namespace)
	}
	dataset := ""
	if r.Dataset.Name != "" {
		dataset = " " + r.Dataset.Name
	}
	check := o.session.Name + " check" + dataset + namespace
	switch health.Cause(r.Cause) {
	case health.CauseSpec:
		return fmt.Sprintf("kubectl edit jindoruntime.data.fluid.io %s -n %s", r.Name, r.Namespace)
	case health.CauseDeletion:
		return fmt.Sprintf("%s tree%s%s", o.session.Name, pick(dataset != "", dataset, " "+r.Name), namespace)
	case health.CausePlacement, health.CausePodSecurity:
		return fmt.Sprintf("kubectl get events -n %s --field-selector type=Warning", r.Namespace)
	case health.CauseController:
		return "kubectl get pods -n " + names.SystemNamespace
	case health.CauseMembers:
		if dataset == "" || mastersFail(r) && !podsFail(r) {
			return fmt.Sprintf("%s raft status %s%s", o.session.Name, r.Name, namespace)
		}
	case health.CauseNone, health.CauseBinding, health.CauseCredentials, health.CauseMounts, health.CauseStore, health.CauseVolume, health.CauseChange:
	}
	return check
}

// mastersFail reports whether a problem is about a master or the leader.
func mastersFail(r *report.Runtime) bool {
	return len(r.Masters) > 0 && (r.Leader() == nil || slices.ContainsFunc(r.Masters, func(m report.Master) bool {
		return m.Error != "" || !m.Voter || !m.Ready
	}))
}

// podsFail reports whether the pod of a member is not ready.
func podsFail(r *report.Runtime) bool {
	return slices.ContainsFunc(r.Masters, func(m report.Master) bool { return m.Pod != nil && !m.Pod.Ready }) ||
		slices.ContainsFunc(r.Workers, func(w report.Worker) bool { return w.Pod != nil && !w.Pod.Ready }) ||
		slices.ContainsFunc(r.Fuses, func(f report.Fuse) bool { return !f.Ready })
}

// localFlag returns --local when the command reads this machine.
func (o *options) localFlag() string {
	if o.session.Local {
		return " --local"
	}
	return ""
}

// untilError returns the error of a watch that reached its timeout.
func (o *options) untilError(args []string, reports []report.Runtime) string {
	for _, r := range reports {
		if r.Health != report.Healthy {
			text := fmt.Sprintf("%s/%s is %s", r.Namespace, r.Name, r.Health)
			if len(r.Problems) > 0 {
				text += ": " + r.Problems[0]
			}
			return text
		}
	}
	return "nothing to wait for: " + pick(len(args) > 0, strings.Join(args, " ")+" was not found", o.nothing())
}
