package inject

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/admission/lookup"
	"github.com/jindo-io/jindo/pkg/kube/client"
	sidecar "github.com/jindo-io/jindo/pkg/kube/inject"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

func newExplain(s *session.Session) *cobra.Command {
	o, format := &options{}, output.New(output.Table, output.Wide)
	cmd := &cobra.Command{
		Use:   "explain (POD | TYPE/NAME | -f FILE)",
		Short: "Explain why pods have a sidecar or not",
		Long: `Explain why pods have a sidecar or not: what their labels request, which webhooks
the API server calls for them and which selectors exclude others, whether the
webhook of Jindo is ready, what it would do, and whether the policy that backs it
is bound. Nothing is changed. The exit code is 3 if a pod that requests a sidecar
does not get it.`,
		Example: fmt.Sprintf("  %[1]s inject explain train-0\n  %[1]s inject explain deploy/train -n vision\n  %[1]s inject explain -f train.yaml", s.Name),
		Args:    cobra.MaximumNArgs(2), ValidArgsFunction: completion.Pods(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := format.Validate(); err != nil {
				return err
			}
			reports, err := o.explain(cmd.Context(), s, args)
			if err != nil {
				return err
			}
			return show(s, format, reports)
		},
	}
	o.sources.AddFlags(cmd.Flags(), "files, directories or URLs with manifests; - is standard input")
	format.AddFlag(cmd.Flags())
	return cmd
}

func (o *options) explain(ctx context.Context, s *session.Session, args []string) ([]Report, error) {
	if o.sources.IsEmpty() == (len(args) == 0) {
		return nil, clierror.Usagef("nothing to explain: give a pod, TYPE/NAME, or -f FILE").WithTry("%s inject explain deploy/NAME", s.Name)
	}
	c, err := s.Cluster()
	if err != nil {
		return nil, err
	}
	var targets []*target
	if len(args) > 0 {
		t, err := fromCluster(ctx, s, c, args)
		if err != nil {
			return nil, err
		}
		targets = []*target{t}
	} else {
		o.sources.Timeout = s.RequestTimeout
		stream, err := readStream(ctx, &o.sources, s.Streams.In)
		if err != nil {
			return nil, err
		}
		targets = stream.targets()
	}
	if len(targets) == 0 {
		return nil, clierror.Usagef("the manifests contain no pod")
	}
	surroundings := readSurroundings(ctx, c)
	reports := make([]Report, len(targets))
	for i, t := range targets {
		r, err := o.explainOne(ctx, s, c, t, surroundings)
		if err != nil {
			return nil, err
		}
		reports[i] = *r
	}
	return reports, nil
}

// kindOf returns the kind that a resource type of kubectl names.
func kindOf(word string) (schema.GroupVersionKind, bool) {
	apps, batch := schema.GroupVersion{Group: "apps", Version: "v1"}, schema.GroupVersion{Group: "batch", Version: "v1"}
	core := schema.GroupVersion{Version: "v1"}
	switch strings.ToLower(word) {
	case "po", "pod", "pods":
		return core.WithKind("Pod"), true
	case "rc", "replicationcontroller", "replicationcontrollers":
		return core.WithKind("ReplicationController"), true
	case "deploy", "deployment", "deployments", "deployment.apps":
		return apps.WithKind("Deployment"), true
	case "sts", "statefulset", "statefulsets", "statefulset.apps":
		return apps.WithKind("StatefulSet"), true
	case "ds", "daemonset", "daemonsets", "daemonset.apps":
		return apps.WithKind("DaemonSet"), true
	case "rs", "replicaset", "replicasets", "replicaset.apps":
		return apps.WithKind("ReplicaSet"), true
	case "job", "jobs", "job.batch":
		return batch.WithKind("Job"), true
	case "cj", "cronjob", "cronjobs", "cronjob.batch":
		return batch.WithKind("CronJob"), true
	}
	return schema.GroupVersionKind{}, false
}

func fromCluster(ctx context.Context, s *session.Session, c *session.Cluster, args []string) (*target, error) {
	word, name, split := strings.Cut(args[0], "/")
	switch {
	case len(args) == 2 && !split:
		name = args[1]
	case len(args) == 2:
		return nil, clierror.Usagef("want one object, got %q and %q", args[0], args[1])
	case !split:
		word, name = "pod", args[0]
	}
	kind, known := kindOf(word)
	if !known || name == "" {
		return nil, clierror.Usagef("unknown resource type in %q", args[0]).
			WithHint("want pod, deployment, statefulset, daemonset, replicaset, replicationcontroller, job or cronjob")
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: name}, u); err != nil {
		return nil, apierror.Explain(s, c, fmt.Sprintf("reading %s %s/%s", kind.Kind, c.Namespace, name), err)
	}
	u.SetManagedFields(nil)
	content, err := json.Marshal(u)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	o := &object{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), content: content}
	o.Metadata.Name, o.Metadata.Namespace = name, c.Namespace
	path, _ := templateOf(o.APIVersion, o.Kind)
	pod := member(content, path)
	if pod == nil {
		return nil, clierror.Generalf("%s has no pod template", o.ref())
	}
	return &target{object: o, stream: &stream{}, template: path, pod: pod}, nil
}

func (o *options) explainOne(ctx context.Context, s *session.Session, c *session.Cluster, t *target, around *surroundings) (*Report, error) {
	f := newFinder(s, t.stream, o)
	f.cluster = c
	namespace := f.namespace(t.object)
	r := newReport(namespace, t.Metadata.Name, t.ref())
	var pod corev1.Pod
	if err := json.Unmarshal(t.pod, &pod); err != nil {
		return nil, clierror.Usagef("decoding %s: %w", t.ref(), err)
	}
	labels, err := around.namespace(ctx, c, namespace)
	if err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	for _, ic := range pod.Spec.InitContainers {
		always := ic.RestartPolicy != nil && *ic.RestartPolicy == corev1.ContainerRestartPolicyAlways
		r.Sidecar = r.Sidecar || ic.Name == names.SidecarContainer && always
	}
	r.Webhooks = append(r.Webhooks, webhooks(around.configurations, pod.Labels, labels)...)
	r.Endpoints, r.Trusted, r.Policy = around.endpoints, around.trusted, around.policy
	r.Failures = append(r.Failures, around.failures...)
	r.Plan, err = planOf(f.plan(ctx, t))
	if err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	r.evaluate(t, &pod, around.known)
	return r, nil
}

// planOf returns the plan as it is reported. A refusal by the webhook is a plan, and
// no error.
func planOf(result *sidecar.Result, err error) (Plan, error) {
	var refused *sidecar.Refusal
	var unknown *lookup.Unknown
	switch {
	case err == nil:
		return Plan{Outcome: string(result.Outcome), Reason: string(result.Reason), Message: result.Message, Warnings: result.Warnings, Operations: len(result.Operations)}, nil
	case errors.As(err, &refused):
		return Plan{Outcome: "Refused", Reason: string(refused.Reason), Message: refused.Message}, nil
	case errors.As(err, &unknown):
		return Plan{Outcome: "Refused", Reason: "UnknownClaim", Message: unknown.Error()}, nil
	}
	return Plan{Outcome: "Unknown", Reason: "NotRead", Message: err.Error()}, err
}

func show(s *session.Session, format *output.Format, reports []Report) error {
	if err := write(s, format, reports); err != nil {
		return err
	}
	for i := range reports {
		if !reports[i].Healthy() {
			return &clierror.Error{Code: clierror.Unhealthy, Err: errors.New(reports[i].Message), Silent: true}
		}
	}
	return nil
}

func write(s *session.Session, format *output.Format, reports []Report) error {
	if format.HumanReadable() {
		return draw(s.Streams.Out, s.Screen(), format.Is(output.Wide), reports)
	}
	var all []string
	for i := range reports {
		all = append(all, reports[i].Object)
	}
	if len(reports) == 1 {
		return format.Print(s.Streams.Out, &reports[0], all...)
	}
	return format.Print(s.Streams.Out, newList(reports), all...)
}
