package create

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

type runtimeOptions struct {
	*createOptions
	masters, workers int32
	tiers            []string
	dataset          string
	secret           string
}

func newRuntime(s *session.Session, run func(*runtimeOptions, context.Context, string) error) *cobra.Command {
	o := &runtimeOptions{createOptions: newCreateOptions(s)}
	cmd := &cobra.Command{
		Use:   "runtime NAME --tier MEDIUM:PATH:QUOTA",
		Short: "Create a JindoRuntime",
		Example: "  " + s.Name + ` create runtime hadoop --masters 3 --workers 3 --tier HDD:/mnt/disk1:2G:0.8:0.7 \
    --dataset hbase --wait`,
		Args: session.Exactly(1, "the name"),
		RunE: func(cmd *cobra.Command, args []string) error { return run(o, cmd.Context(), args[0]) },
	}
	cmd.Flags().Int32Var(&o.masters, "masters", 1, "number of masters: 1 or 3")
	cmd.Flags().Int32Var(&o.workers, "workers", 1, "number of workers")
	cmd.Flags().StringArrayVar(&o.tiers, "tier", nil, "cache tier of each worker: MEDIUM:PATH:QUOTA[:HIGH:LOW] with MEDIUM one of MEM, SSD, HDD; may be repeated, fastest first")
	cmd.Flags().StringVar(&o.dataset, "dataset", "", "Dataset to serve (default: the one with the runtime's name)")
	cmd.Flags().StringVar(&o.secret, "secret", "", "Secret with the keys AccessKeyId and AccessKeySecret, for mounts without credentials of their own")
	o.addFlags(cmd)
	o.change = func(u *unstructured.Unstructured) string {
		return o.changeCommand(u.GetName(), u.GetNamespace(), cmd.Flags().Changed)
	}
	completion.ToFlag(cmd, "dataset", completion.Datasets(s))
	completion.ToFlag(cmd, "secret", completion.Secrets(s))
	return cmd
}

// changeCommand returns the command that changes the numbers that were given of an
// existing runtime, or shows it if none was given: a default must not be suggested
// as a change.
func (o *runtimeOptions) changeCommand(name, namespace string, given func(flag string) bool) string {
	masters, workers := given("masters"), given("workers")
	switch {
	case masters && workers:
		return fmt.Sprintf("%s set runtime %s --masters %d --workers %d -n %s", o.session.Name, name, o.masters, o.workers, namespace)
	case masters:
		return fmt.Sprintf("%s set runtime %s --masters %d -n %s", o.session.Name, name, o.masters, namespace)
	case workers:
		return fmt.Sprintf("%s scale %s --workers %d -n %s", o.session.Name, name, o.workers, namespace)
	}
	return fmt.Sprintf("%s get runtime %s -n %s -o yaml", o.session.Name, name, namespace)
}

func (o *runtimeOptions) run(ctx context.Context, name string) error {
	runtime, err := o.build(name)
	if err != nil {
		return err
	}
	return o.fromFlags(ctx, runtime)
}

func (o *runtimeOptions) build(name string) (*v1alpha1.JindoRuntime, error) {
	runtime := &v1alpha1.JindoRuntime{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.JindoRuntimeKind},
		ObjectMeta: meta(o.session, name),
	}
	if o.dataset != "" && o.dataset != name {
		runtime.Annotations = map[string]string{v1alpha1.DatasetAnnotation: o.dataset}
	}
	runtime.Spec.Replicas = &o.workers
	runtime.Spec.Master.Replicas = &o.masters
	runtime.Spec.Secret = o.secret
	for _, text := range o.tiers {
		level, err := parseTier(text)
		if err != nil {
			return nil, err
		}
		runtime.Spec.TieredStore.Levels = append(runtime.Spec.TieredStore.Levels, level)
	}
	return runtime, nil
}

// parseTier parses MEDIUM:PATH:QUOTA[:HIGH:LOW]. The values are checked by the
// validator.
func parseTier(text string) (v1alpha1.Level, error) {
	const short, long = 3, 5
	parts := strings.Split(text, ":")
	if len(parts) != short && len(parts) != long {
		return v1alpha1.Level{}, clierror.Usagef("invalid --tier %q: want MEDIUM:PATH:QUOTA or MEDIUM:PATH:QUOTA:HIGH:LOW", text).
			WithTry("--tier HDD:/mnt/disk1:2G")
	}
	level := v1alpha1.Level{
		MediumType: v1alpha1.MediumType(strings.ToUpper(parts[0])), Path: parts[1], Quota: v1alpha1.Quota(parts[2]),
	}
	if len(parts) == long {
		level.High, level.Low = parts[3], parts[4]
	}
	return level, nil
}
