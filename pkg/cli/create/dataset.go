package create

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

type datasetOptions struct {
	*options
	mounts      []string
	secret      string
	parameters  map[string]string
	access      string
	credentials credentialOptions
}

func newDataset(s *session.Session) *cobra.Command {
	o := &datasetOptions{options: newOptions(s), credentials: credentialOptions{session: s}}
	cmd := &cobra.Command{
		Use:   "dataset NAME --mount URI[=/PATH]",
		Short: "Make a Dataset",
		Long: `Make a Dataset.

Credentials are never given on the command line, where everybody on the machine
could read them, nor written into the Dataset. --secret names a Secret that is
there; --credentials-file reads a file (lines KEY=VALUE, JSON, or the ini files
of the aws and ossutil programs) and --credentials=prompt asks; both make the
Secret that the Dataset then refers to.`,
		Example: `  %[1]s create dataset hbase --mount oss://test-bucket/=/hadoop --secret oss-keys \
    --option fs.oss.endpoint=oss-cn-beijing.aliyuncs.com
  %[1]s create dataset hbase --mount s3://bucket/ --option fs.s3.region=us-east-1 --credentials-file ~/.aws/credentials --dry-run=client -o yaml`,
		Args: session.Exactly(1, "the name"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Example = strings.ReplaceAll(cmd.Example, "%[1]s", s.Name)
	cmd.Flags().StringArrayVar(&o.mounts, "mount", nil, "bucket or directory, and its path in the tree: oss://bucket/prefix[=/path]; may be repeated")
	cmd.Flags().StringVar(&o.secret, "secret", "", "Secret with keys fs.<scheme>.accessKeyId and fs.<scheme>.accessKeySecret; the one to make with --credentials-file or --credentials (default NAME-keys)")
	cmd.Flags().StringToStringVar(&o.parameters, "option", nil, "option of the mounts: fs.oss.endpoint=HOST; may be repeated")
	cmd.Flags().StringVar(&o.access, "access", "", "ro or rw (default ro)")
	o.credentials.addFlags(cmd.Flags())
	o.addFlags(cmd)
	completion.ToFlag(cmd, "secret", completion.Secrets(s))
	completion.ToFlag(cmd, "access", completion.Words("ro", "rw"))
	completion.ToFlag(cmd, "credentials", completion.Words(prompt))
	return cmd
}

func (o *datasetOptions) run(ctx context.Context, name string) error {
	dataset, err := o.build(name)
	if err != nil {
		return err
	}
	objects := []runtime.Object{dataset}
	secret := o.secret
	token := false
	if o.credentials.asked() {
		if err := o.credentials.validate(storeSchemes(dataset)); err != nil {
			return err
		}
		// Nobody is asked for what would be refused afterwards.
		if _, err := manifest.Validate(dataset, name); err != nil {
			return &clierror.Error{Code: clierror.Usage, Err: err}
		}
		if secret == "" {
			secret = name + "-keys"
		}
		made, err := o.credentials.secret(meta(o.session, secret), storeSchemes(dataset))
		if err != nil {
			return err
		}
		_, token = made.Data[optionName(storeSchemes(dataset)[0], securityToken)]
		objects = append(objects, made)
	}
	if secret != "" {
		refer(dataset, secret, token)
	}
	return o.fromFlags(ctx, objects...)
}

func (o *datasetOptions) build(name string) (*v1alpha1.Dataset, error) {
	if len(o.mounts) == 0 {
		return nil, clierror.Usagef("dataset %q needs a --mount", name).WithTry("--mount oss://bucket/prefix/=/path")
	}
	if err := o.noCredentials(); err != nil {
		return nil, err
	}
	dataset := &v1alpha1.Dataset{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.DatasetKind},
		ObjectMeta: meta(o.session, name),
	}
	for _, text := range o.mounts {
		dataset.Spec.Mounts = append(dataset.Spec.Mounts, parseMount(text))
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
		return nil, clierror.Usagef("--access must be ro or rw, not %q", o.access)
	}
	return dataset, nil
}

// noCredentials refuses credentials in clear: whoever may read the Dataset
// could read them, and so could everybody who sees the list of processes.
func (o *datasetOptions) noCredentials() error {
	for _, option := range slices.Sorted(maps.Keys(o.parameters)) {
		if v1alpha1.SecretOption(option) {
			return clierror.Usagef("--option %s holds a credential, and everybody who may read the Dataset could read it there", option).
				WithHint("it belongs into a Secret: name one with --secret, or have one made").
				WithTry("--credentials-file FILE, or --credentials=prompt")
		}
	}
	return nil
}

// parseMount reads URI[=/PATH]. A URI may hold "=" itself; a path begins with
// "=/".
func parseMount(text string) v1alpha1.Mount {
	if at := strings.LastIndex(text, "=/"); at > 0 {
		return v1alpha1.Mount{MountPoint: text[:at], Path: text[at+1:]}
	}
	return v1alpha1.Mount{MountPoint: text}
}

// refer makes every mount of a store read its credentials out of the Secret.
func refer(dataset *v1alpha1.Dataset, secret string, token bool) {
	keys := []string{accessKeyID, accessKeySecret}
	if token {
		keys = append(keys, securityToken)
	}
	for i := range dataset.Spec.Mounts {
		m := &dataset.Spec.Mounts[i]
		scheme := v1alpha1.Scheme(m.MountPoint)
		if !isStore(scheme) {
			continue
		}
		for _, key := range keys {
			option := optionName(scheme, key)
			m.EncryptOptions = append(m.EncryptOptions, v1alpha1.EncryptOption{
				Name:      option,
				ValueFrom: v1alpha1.EncryptOptionSource{SecretKeyRef: v1alpha1.SecretKeySelector{Name: secret, Key: option}},
			})
		}
	}
}

// storeSchemes are the schemes of the mounts that need credentials.
func storeSchemes(dataset *v1alpha1.Dataset) []string {
	var schemes []string
	for _, m := range dataset.Spec.Mounts {
		if scheme := v1alpha1.Scheme(m.MountPoint); isStore(scheme) && !slices.Contains(schemes, scheme) {
			schemes = append(schemes, scheme)
		}
	}
	return schemes
}

// isStore: directories and claims take no credentials. What is no scheme at all
// is for the validator to refuse.
func isStore(scheme string) bool {
	return !slices.Contains([]string{"", "local", "file", "pvc"}, scheme)
}

func optionName(scheme, key string) string { return "fs." + scheme + "." + key }
