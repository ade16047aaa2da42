package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/notes"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// pass is one reconciliation of a runtime: the desired state, the observed state and
// the resulting status.
type pass struct {
	r *Reconciler
	// runtime is the object as it was read; only its metadata and spec are used.
	runtime      *v1alpha1.JindoRuntime
	status       *v1alpha1.RuntimeStatus
	now          metav1.Time
	events       []pendingEvent
	requeueAfter time.Duration

	// want is the runtime with defaults and with the applied values of restored
	// fields.
	want    *v1alpha1.JindoRuntime
	dataset *v1alpha1.Dataset
	// claimedBy is the name of an older runtime that serves the Dataset instead.
	claimedBy string
	// datasetInvalid reports that the spec of the Dataset is invalid, so that
	// nothing is changed.
	datasetInvalid bool
	plan           *plan.Plan
	config         render.Config
	notApplied     []string
	topology       topology.Topology
	authority      *mtls.Authority
	nodes          []corev1.Node
	// masterNodes are the hostnames of the nodes of masters' volumes.
	masterNodes       []string
	placementProblems []string // messages about pods without a node
	// podSecurityProblem and hostPathProblem are messages about directories of nodes
	// that the runtime may not use; empty if it may.
	podSecurityProblem, hostPathProblem string
	observed                            observed
	masterState                         masterState
	// storeFailed reports that a store returned an error.
	storeFailed bool
}

// observed is the observed state of a runtime's workloads.
type observed struct {
	masters, workers *appsv1.StatefulSet
	fuse             *appsv1.DaemonSet
	pods             map[plan.Role][]corev1.Pod
}

func newPass(r *Reconciler, runtime *v1alpha1.JindoRuntime) *pass {
	return &pass{
		r: r, runtime: runtime, status: runtime.Status.DeepCopy(), now: metav1.NewTime(r.Now()), requeueAfter: notReadyInterval,
		want: runtime.DeepCopy(), observed: observed{pods: map[plan.Role][]corev1.Pod{}},
	}
}

// run performs the pass. After an error in applying objects it still observes the
// state and sets the status.
func (p *pass) run(ctx context.Context) error {
	p.status.ObservedGeneration = p.runtime.Generation
	if !p.valid() {
		p.requeueAfter = 0
		return nil
	}
	ready, err := p.prepare(ctx)
	if err != nil || !ready {
		p.setFailed(err)
		return err
	}
	failed := p.applyObjects(ctx)
	if err := p.observe(ctx); err != nil {
		p.setFailed(errors.Join(failed, err))
		return errors.Join(failed, err)
	}
	failed = errors.Join(failed, p.queryMasters(ctx))
	p.setStatus()
	if failed != nil {
		p.setFailed(failed)
	}
	return failed
}

// valid validates the spec, with the same validator as the webhook and the clients,
// and sets the defaults.
func (p *pass) valid() bool {
	errs, _ := v1alpha1.Validate(p.runtime)
	if err := errs.ToAggregate(); err != nil {
		p.setCondition(v1alpha1.RuntimeSpecValid, false, reasonInvalid, errorMessage(err))
		p.setCondition(v1alpha1.RuntimeReady, false, reasonInvalid, "the spec is invalid: see condition SpecValid")
		return false
	}
	p.setCondition(v1alpha1.RuntimeSpecValid, true, reasonValid, "the spec is valid")
	v1alpha1.SetDefaults(p.want)
	return true
}

func errorMessage(err error) string { return strings.TrimSpace(err.Error()) }

// prepare reads the Dataset, the formation record and the applied configuration, and
// builds the plan. It reports whether the pass can continue.
func (p *pass) prepare(ctx context.Context) (bool, error) {
	if err := p.findDataset(ctx); err != nil {
		return false, err
	}
	if err := p.readConfig(ctx); err != nil {
		return false, err
	}
	if p.dataset == nil && p.config.ClusterID == "" && p.now.Sub(p.runtime.CreationTimestamp.Time) < startupInterval {
		// Dataset and runtime are often created together. With the Dataset, the
		// first pod templates are already the final ones.
		p.requeueAfter = time.Second
		return false, nil
	}
	if err := p.makePlan(ctx); err != nil {
		return false, err
	}
	return p.ensureFormation(ctx)
}

func (p *pass) findDataset(ctx context.Context) error {
	dataset := &v1alpha1.Dataset{}
	key := client.ObjectKey{Namespace: p.runtime.Namespace, Name: plan.DatasetName(p.runtime)}
	err := p.r.Client.Get(ctx, key, dataset)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get Dataset %s: %w", key, err)
	}
	if err != nil || !plan.Bound(dataset, p.runtime) {
		return nil
	}
	if err := p.findServing(ctx, dataset); err != nil || p.claimedBy != "" {
		return err
	}
	v1alpha1.SetDefaults(dataset)
	p.dataset = dataset
	return nil
}

// findServing records whether another runtime serves the Dataset. The webhook rejects
// this, but may have been unavailable. The Dataset controller uses the same rule.
func (p *pass) findServing(ctx context.Context, dataset *v1alpha1.Dataset) error {
	var list v1alpha1.JindoRuntimeList
	if err := p.r.Client.List(ctx, &list, client.InNamespace(p.runtime.Namespace)); err != nil {
		return fmt.Errorf("list JindoRuntimes of Dataset %s: %w", dataset.Name, err)
	}
	runtimes := []*v1alpha1.JindoRuntime{p.runtime}
	for i := range list.Items {
		if list.Items[i].Name != p.runtime.Name {
			runtimes = append(runtimes, &list.Items[i])
		}
	}
	if serving := plan.Serving(dataset, runtimes); serving.Name != p.runtime.Name {
		p.claimedBy = serving.Name
	}
	return nil
}

// makePlan builds the plan of the applied configuration or, if there is none, of the
// spec. If the Dataset is invalid, nothing is changed.
func (p *pass) makePlan(ctx context.Context) error {
	p.restoreApplied()
	dataset := p.dataset
	if dataset != nil {
		if errs, _ := v1alpha1.Validate(dataset); len(errs) > 0 {
			p.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonDatasetInvalid,
				fmt.Sprintf("the spec of Dataset %q is invalid: %s", dataset.Name, errorMessage(errs.ToAggregate())))
			p.datasetInvalid, p.dataset, dataset = true, nil, nil
		}
	}
	built, err := plan.Build(dataset, p.want)
	if err != nil {
		return err
	}
	p.plan = built
	if p.datasetInvalid {
		return nil
	}
	if p.plan.Unbound == "" {
		p.setCondition(v1alpha1.RuntimeDatasetBound, true, reasonBound, fmt.Sprintf("bound to Dataset %q", p.plan.Dataset))
		return nil
	}
	if p.claimedBy != "" {
		p.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonDatasetClaimed, fmt.Sprintf(
			"Dataset %[2]s is already bound to the older JindoRuntime %[1]s: delete one of the two runtimes, or set the annotation %[3]s of this one to another Dataset",
			p.claimedBy, plan.DatasetName(p.runtime), v1alpha1.DatasetAnnotation))
		return nil
	}
	reason, err := p.unboundReason(ctx)
	p.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonNotBound, reason)
	return err
}

// unboundReason tells the user how to bind the runtime, preferably to a Dataset of the
// namespace that no runtime serves.
func (p *pass) unboundReason(ctx context.Context) (string, error) {
	datasets, runtimes := &v1alpha1.DatasetList{}, &v1alpha1.JindoRuntimeList{}
	here := client.InNamespace(p.runtime.Namespace)
	if err := errors.Join(p.r.Client.List(ctx, datasets, here), p.r.Client.List(ctx, runtimes, here)); err != nil {
		return p.plan.Unbound, fmt.Errorf("list Datasets and JindoRuntimes: %w", err)
	}
	slices.SortFunc(datasets.Items, func(a, b v1alpha1.Dataset) int { return strings.Compare(a.Name, b.Name) })
	for i := range datasets.Items {
		served := slices.ContainsFunc(runtimes.Items, func(r v1alpha1.JindoRuntime) bool { return plan.Bound(&datasets.Items[i], &r) })
		// An invalid Dataset may belong to another runtime of Fluid.
		if errs, _ := v1alpha1.Validate(&datasets.Items[i]); !served && len(errs) == 0 {
			return plan.UnboundReason(&datasets.Items[i], p.runtime), nil
		}
	}
	return p.plan.Unbound, nil
}

// applyObjects applies the objects of the plan.
func (p *pass) applyObjects(ctx context.Context) error {
	authority, err := p.r.authorities.Authority(ctx, p.runtime)
	if err != nil {
		return err
	}
	p.authority = authority
	p.topology = render.Topology(p.plan, p.status.Formation.ClusterID)
	if err := p.r.authorities.Sync(ctx, p.runtime, p.authority, p.plan, p.topology); err != nil {
		return err
	}
	if err := p.syncCredentials(ctx); err != nil {
		return err
	}
	input, err := p.renderInput(ctx)
	if err != nil {
		return err
	}
	if p.datasetInvalid && p.config.ClusterID != "" {
		return nil
	}
	objects, err := render.Objects(input)
	if err := p.observeHostPaths(err); err != nil {
		return err
	}
	switch {
	case !p.hostPathsRefused():
		if err := p.setStatusScaling(ctx); err != nil {
			return err
		}
	case p.config.Applied == nil:
		// Nothing exists yet, and nothing is recorded: an edit of the spec is
		// carried out.
		return nil
	}
	var failed error
	for _, object := range objects {
		if err := p.keepTemplate(ctx, object); err != nil {
			return err
		}
		failed = errors.Join(failed, p.r.apply(ctx, p.runtime.UID, object))
	}
	return failed
}

// renderInput returns the input of rendering. If the runtime may not use its directories
// of nodes, its masters get no nodes.
func (p *pass) renderInput(ctx context.Context) (render.Input, error) {
	input := render.Input{
		Plan: p.plan, Runtime: p.want, Dataset: p.dataset, Images: *p.status.Images,
		ClusterID: p.status.Formation.ClusterID, Formed: p.status.Formation.Formed, CA: p.authority.CertPEM(),
		FusePriorityClass: p.r.FusePriorityClass, Applied: p.appliedNow(), HostPaths: p.r.HostPaths, SystemNamespace: p.r.SystemNamespace,
	}
	var err error
	if input.PodSecurity, err = p.checkNamespace(ctx); err != nil {
		return input, err
	}
	if err := p.observeHostPaths(input.HostPathAllowed()); err != nil {
		return input, err
	}
	if !p.hostPathsRefused() {
		err = p.placeMasters(ctx)
	}
	input.MasterNodes = p.masterNodes
	return input, err
}

func (p *pass) syncCredentials(ctx context.Context) error {
	if p.datasetInvalid || p.r.Credentials == nil {
		return nil
	}
	problems, err := p.r.Credentials(ctx, p.runtime, p.plan)
	if err != nil {
		return err
	}
	switch {
	case len(problems) > 0:
		messages := make([]string, len(problems))
		for i, problem := range problems {
			messages[i] = fmt.Sprintf("mount %s: %s", problem.Mount, problem.Message)
		}
		p.setCondition(v1alpha1.RuntimeCredentialsReady, false, reasonMissing, strings.Join(messages, "; "))
	case len(p.plan.Credentials) > 0:
		p.setCondition(v1alpha1.RuntimeCredentialsReady, true, reasonReady, "the credentials of every mount are available")
	default:
		removeCondition(&p.status.Conditions, v1alpha1.RuntimeCredentialsReady)
	}
	return nil
}

// setFailed sets the condition Ready to the error of the pass. Transient errors are
// not reported.
func (p *pass) setFailed(err error) {
	if err == nil || isTransient(err) {
		return
	}
	p.setCondition(v1alpha1.RuntimeReady, false, reasonFailed, errorMessage(err))
	p.requeueAfter = notReadyInterval
}

// save writes the status if it has changed, and then records the events.
func (p *pass) save(ctx context.Context) error {
	if !equality.Semantic.DeepEqual(p.status, &p.runtime.Status) {
		next := p.runtime.DeepCopy()
		next.Status = *p.status
		if err := p.r.Client.Status().Update(ctx, next, client.FieldOwner(names.FieldManager)); err != nil {
			return fmt.Errorf("write status of JindoRuntime %s/%s: %w", p.runtime.Namespace, p.runtime.Name, err)
		}
		p.runtime.ResourceVersion, p.runtime.Status = next.ResourceVersion, *p.status.DeepCopy()
	}
	for _, n := range p.events {
		kind := corev1.EventTypeNormal
		if n.warning {
			kind = corev1.EventTypeWarning
		}
		p.r.Recorder.Eventf(p.runtime, nil, kind, n.reason, "Reconcile", "%s", notes.Shorten(n.message, notes.EventLimit))
	}
	p.events = nil
	return nil
}
