package create

import (
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/failure"
	"github.com/jindo-io/jindo/pkg/cli/output"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

type datasetOptions struct {
	options
	mounts     []string
	secret     string
	parameters map[string]string
	access     string
}

func newDataset(s *session.Session) *cobra.Command {
	o := &datasetOptions{options: options{session: s, format: output.New(created)}}
	cmd := &cobra.Command{
		Use:   "dataset NAME --mount URI[=/PATH]",
		Short: "Make a Dataset",
		Example: `  %[1]s create dataset hbase --mount oss://test-bucket/=/hadoop --secret oss-keys \
    --option fs.oss.endpoint=oss-cn-beijing.aliyuncs.com --dry-run=client -o yaml`,
		Args: session.Exactly(1, "the name"),
		RunE: func(_ *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	cmd.Example = strings.ReplaceAll(cmd.Example, "%[1]s", s.Name)
	cmd.Flags().StringArrayVar(&o.mounts, "mount", nil, "bucket or directory, and its path in the tree: oss://bucket/prefix[=/path]; may be repeated")
	cmd.Flags().StringVar(&o.secret, "secret", "", "Secret with keys fs.<scheme>.accessKeyId and fs.<scheme>.accessKeySecret")
	cmd.Flags().StringToStringVar(&o.parameters, "option", nil, "option of the mounts: fs.oss.endpoint=HOST; may be repeated")
	cmd.Flags().StringVar(&o.access, "access", "", "ro or rw (default ro)")
	o.addFlags(cmd)
	return cmd
}

func (o *datasetOptions) run(name string) error {
	dataset, err := o.build(name)
	if err != nil {
		return err
	}
	return o.validated(dataset, name)
}

func (o *datasetOptions) build(name string) (*v1alpha1.Dataset, error) {
	if len(o.mounts) == 0 {
		return nil, failure.Usagef("dataset %q needs a --mount", name).WithTry("--mount oss://bucket/prefix/=/path")
	}
	dataset := &v1alpha1.Dataset{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.DatasetKind},
		ObjectMeta: meta(o.session, name),
	}
	for _, text := range o.mounts {
		dataset.Spec.Mounts = append(dataset.Spec.Mounts, o.mount(text))
	}
	if len(o.parameters) > 0 {
		if len(dataset.Spec.Mounts) == 1 {
			dataset.Spec.Mounts[0].Options = o.parameters
		} else {
			dataset.Spec.SharedOptions = o.parameters
		}
	}
	switch o.access {
	case "":
	case "ro":
		dataset.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	case "rw":
		dataset.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
	default:
		return nil, failure.Usagef("--access must be ro or rw, not %q", o.access)
	}
	return dataset, nil
}

// mount reads URI[=/PATH]. A URI may hold "=" itself; a path begins with "=/".
func (o *datasetOptions) mount(text string) v1alpha1.Mount {
	m := v1alpha1.Mount{MountPoint: text}
	if at := strings.LastIndex(text, "=/"); at > 0 {
		m.MountPoint, m.Path = text[:at], text[at+1:]
	}
	if o.secret == "" {
		return m
	}
	scheme := v1alpha1.Scheme(m.MountPoint)
	for _, key := range []string{"accessKeyId", "accessKeySecret"} {
		option := "fs." + scheme + "." + key
		m.EncryptOptions = append(m.EncryptOptions, v1alpha1.EncryptOption{
			Name:      option,
			ValueFrom: v1alpha1.EncryptOptionSource{SecretKeyRef: v1alpha1.SecretKeySelector{Name: o.secret, Key: option}},
		})
	}
	return m
}
