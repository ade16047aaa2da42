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
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/topology"
)

// pass is one look at one runtime: what is wanted, what is there, and the
// status that results.
type pass struct {
	r *Reconciler
	// runtime as it was read; only its metadata and spec are looked at.
	runtime      *v1alpha1.JindoRuntime
	status       *v1alpha1.RuntimeStatus
	now          metav1.Time
	events       []pendingEvent
	requeueAfter time.Duration

	// want is the runtime with its defaults, saying what is carried out.
	want    *v1alpha1.JindoRuntime
	dataset *v1alpha1.Dataset
	// claimed is the older runtime that serves the Dataset instead.
	claimedBy string
	// held: the Dataset is there and cannot be carried out, so everything stays
	// as it is.
	datasetInvalid bool
	plan           *plan.Plan
	config         render.Config
	notApplied     []string
	roster         topology.Topology
	authority      *mtls.Authority
	nodes          []corev1.Node
	// masterNodes are the hostnames that keep masters' volumes.
	masterNodes       []string
	placementProblems []string // what keeps pods from nodes, one sentence each
	observed          observed
	masterState       masterState
	// sick: a store refuses.
	storeFailed bool
}

// sight is what the cluster shows of a runtime.
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

// run does what can be done, and goes on to look after what could not.
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

// valid is the guard: the same validator as everywhere else.
func (p *pass) valid() bool {
	errs, _ := v1alpha1.Validate(p.runtime)
	if err := errs.ToAggregate(); err != nil {
		p.setCondition(v1alpha1.RuntimeSpecValid, false, reasonInvalid, errorMessage(err))
		p.setCondition(v1alpha1.RuntimeReady, false, reasonInvalid, "the spec cannot be carried out: see condition SpecValid")
		return false
	}
	p.setCondition(v1alpha1.RuntimeSpecValid, true, reasonValid, "the spec can be carried out")
	v1alpha1.SetDefaults(p.want)
	return true
}

func errorMessage(err error) string { return strings.TrimSpace(err.Error()) }

// prepare finds the Dataset, the formation record and what was applied before,
// and makes the plan. It answers whether to go on now.
func (p *pass) prepare(ctx context.Context) (bool, error) {
	if err := p.findDataset(ctx); err != nil {
		return false, err
	}
	if err := p.readConfig(ctx); err != nil {
		return false, err
	}
	if p.dataset == nil && p.config.ClusterID == "" && p.now.Sub(p.runtime.CreationTimestamp.Time) < startupInterval {
		// Both are often created at once: with the Dataset known the first pods
		// are already the right ones.
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
		return fmt.Errorf("reading Dataset %s: %w", key, err)
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

// findServing notes that another runtime serves the Dataset, as the webhook
// refuses when it is there. The Dataset's controller decides by the same rule.
func (p *pass) findServing(ctx context.Context, dataset *v1alpha1.Dataset) error {
	var list v1alpha1.JindoRuntimeList
	if err := p.r.Client.List(ctx, &list, client.InNamespace(p.runtime.Namespace)); err != nil {
		return fmt.Errorf("looking for other JindoRuntimes of Dataset %s: %w", dataset.Name, err)
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

// makePlan plans what was applied before, or what the spec says when nothing
// was. A Dataset that is refused leaves everything as it is.
func (p *pass) makePlan(ctx context.Context) error {
	p.restoreApplied()
	dataset := p.dataset
	if dataset != nil {
		if errs, _ := v1alpha1.Validate(dataset); len(errs) > 0 {
			p.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonDatasetInvalid,
				fmt.Sprintf("Dataset %q cannot be carried out: %s", dataset.Name, errorMessage(errs.ToAggregate())))
			p.datasetInvalid, p.dataset, dataset = true, nil, nil
		}
	}
	made, err := plan.Build(dataset, p.want)
	if err != nil {
		return err
	}
	p.plan = made
	if p.datasetInvalid {
		return nil
	}
	if p.plan.Unbound == "" {
		p.setCondition(v1alpha1.RuntimeDatasetBound, true, reasonBound, fmt.Sprintf("the runtime serves Dataset %q", p.plan.Dataset))
		return nil
	}
	if p.claimedBy != "" {
		p.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonDatasetClaimed, fmt.Sprintf(
			"JindoRuntime %s is older and serves Dataset %s, and a Dataset is served by one: delete one of the two, or name another Dataset in this one's annotation %s",
			p.claimedBy, plan.DatasetName(p.runtime), v1alpha1.DatasetAnnotation))
		return nil
	}
	reason, err := p.unboundReason(ctx)
	p.setCondition(v1alpha1.RuntimeDatasetBound, false, reasonNotBound, reason)
	return err
}

// unboundReason says what to write so that the runtime serves a Dataset: one of
// the namespace that no runtime serves, if there is one.
func (p *pass) unboundReason(ctx context.Context) (string, error) {
	datasets, runtimes := &v1alpha1.DatasetList{}, &v1alpha1.JindoRuntimeList{}
	here := client.InNamespace(p.runtime.Namespace)
	if err := errors.Join(p.r.Client.List(ctx, datasets, here), p.r.Client.List(ctx, runtimes, here)); err != nil {
		return p.plan.Unbound, fmt.Errorf("looking for a Dataset without a runtime: %w", err)
	}
	slices.SortFunc(datasets.Items, func(a, b v1alpha1.Dataset) int { return strings.Compare(a.Name, b.Name) })
	for i := range datasets.Items {
		served := slices.ContainsFunc(runtimes.Items, func(r v1alpha1.JindoRuntime) bool { return plan.Bound(&datasets.Items[i], &r) })
		if !served {
			return plan.UnboundReason(&datasets.Items[i], p.runtime), nil
		}
	}
	return p.plan.Unbound, nil
}

// carryOut brings the objects to what the plan says.
func (p *pass) applyObjects(ctx context.Context) error {
	var err error
	if p.authority, err = p.r.authorities.Authority(ctx, p.runtime); err != nil {
		return err
	}
	p.roster = render.Topology(p.plan, p.status.Formation.ClusterID)
	if err := p.r.authorities.Sync(ctx, p.runtime, p.authority, p.plan, p.roster); err != nil {
		return err
	}
	if err := p.syncCredentials(ctx); err != nil {
		return err
	}
	if err := p.placeMasters(ctx); err != nil {
		return err
	}
	if p.datasetInvalid && p.config.ClusterID != "" {
		return nil
	}
	if err := p.setStatusScaling(ctx); err != nil {
		return err
	}
	objects, err := render.Objects(render.Input{
		Plan: p.plan, Runtime: p.want, Dataset: p.dataset, Images: *p.status.Images,
		ClusterID: p.status.Formation.ClusterID, Formed: p.status.Formation.Formed, CA: p.authority.CertPEM(),
		MasterNodes: p.masterNodes, FusePriorityClass: p.r.FusePriorityClass, Applied: p.appliedNow(),
	})
	if err != nil {
		return err
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
		p.setCondition(v1alpha1.RuntimeCredentialsReady, true, reasonReady, "the credentials of every mount are there")
	default:
		removeCondition(&p.status.Conditions, v1alpha1.RuntimeCredentialsReady)
	}
	return nil
}

// fail says why the pass did not get through.
func (p *pass) setFailed(err error) {
	if err == nil || isTransient(err) {
		return
	}
	p.setCondition(v1alpha1.RuntimeReady, false, reasonFailed, errorMessage(err))
	p.requeueAfter = notReadyInterval
}

// save writes the status when it changed, and then tells people.
func (p *pass) save(ctx context.Context) error {
	if !equality.Semantic.DeepEqual(p.status, &p.runtime.Status) {
		next := p.runtime.DeepCopy()
		next.Status = *p.status
		if err := p.r.Client.Status().Update(ctx, next, client.FieldOwner(names.FieldManager)); err != nil {
			return fmt.Errorf("writing the status of JindoRuntime %s/%s: %w", p.runtime.Namespace, p.runtime.Name, err)
		}
		p.runtime.ResourceVersion, p.runtime.Status = next.ResourceVersion, *p.status.DeepCopy()
	}
	for _, n := range p.events {
		kind := corev1.EventTypeNormal
		if n.warning {
			kind = corev1.EventTypeWarning
		}
		p.r.Recorder.Eventf(p.runtime, nil, kind, n.reason, "Reconcile", "%s", n.message)
	}
	p.events = nil
	return nil
}
