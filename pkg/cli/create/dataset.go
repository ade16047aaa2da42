package create

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/completion"
	"github.com/jindo-io/jindo/pkg/cli/manifest"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

type datasetOptions struct {
	*createOptions
	mounts      []string
	secret      string
	parameters  map[string]string
	access      string
	credentials credentialOptions
}

func newDataset(s *session.Session, run func(*datasetOptions, context.Context, string) error) *cobra.Command {
	o := &datasetOptions{createOptions: newCreateOptions(s), credentials: credentialOptions{session: s}}
	o.change = func(u *unstructured.Unstructured) string {
		return fmt.Sprintf("%s get dataset %s -n %s -o yaml", s.Name, u.GetName(), u.GetNamespace())
	}
	cmd := &cobra.Command{
		Use:   "dataset NAME --mount URI[=/PATH]",
		Short: "Create a Dataset",
		Long: `Create a Dataset.

Credentials are never given on the command line, where every user of the machine
could read them, nor stored in the Dataset. --secret names an existing Secret;
--credentials-file reads a file (lines of KEY=VALUE, JSON, or the ini files of the
aws and ossutil programs) and --credentials=prompt prompts for them; both create
the Secret that the Dataset refers to.`,
		Example: `  %[1]s create dataset hbase --mount oss://test-bucket/=/hadoop --secret oss-keys \
    --option fs.oss.endpoint=oss-cn-beijing.aliyuncs.com
  %[1]s create dataset hbase --mount s3://bucket/ --option fs.s3.region=us-east-1 --credentials-file ~/.aws/credentials --dry-run=client -o yaml`,
		Args: session.Exactly(1, "the name"),
		RunE: func(cmd *cobra.Command, args []string) error { return run(o, cmd.Context(), args[0]) },
	}
	cmd.Example = strings.ReplaceAll(cmd.Example, "%[1]s", s.Name)
	cmd.Flags().StringArrayVar(&o.mounts, "mount", nil, "bucket or directory, and the path to mount it at: oss://bucket/prefix[=/path]; may be repeated")
	cmd.Flags().StringVar(&o.secret, "secret", "", "Secret with the keys fs.<scheme>.accessKeyId and fs.<scheme>.accessKeySecret; with --credentials-file or --credentials the name of the Secret to create (default NAME-keys)")
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
	if o.credentials.given() {
		if err := o.credentials.validate(storeSchemes(dataset)); err != nil {
			return err
		}
		// An invalid Dataset is refused before the user is prompted.
		if _, err := manifest.Validate(dataset, name); err != nil {
			return &clierror.Error{Code: clierror.Usage, Err: err}
		}
		if secret == "" {
			secret = name + "-keys"
		}
		created, err := o.credentials.secret(ctx, meta(o.session, secret), storeSchemes(dataset))
		if err != nil {
			return err
		}
		_, token = created.Data[optionName(storeSchemes(dataset)[0], securityToken)]
		objects = append(objects, created)
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
		mount, err := parseMount(text)
		if err != nil {
			return nil, err
		}
		dataset.Spec.Mounts = append(dataset.Spec.Mounts, mount)
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
		return nil, clierror.Usagef("invalid --access %q: want ro or rw", o.access)
	}
	return dataset, nil
}

// noCredentials refuses credentials in --option: they would be readable in the
// Dataset and in the list of processes.
func (o *datasetOptions) noCredentials() error {
	for _, option := range slices.Sorted(maps.Keys(o.parameters)) {
		if v1alpha1.SecretOption(option) {
			return clierror.Usagef("--option %s is a credential, and would be readable in the Dataset", option).
				WithHint("credentials belong in a Secret: name one with --secret, or have one created").
				WithTry("--credentials-file FILE, or --credentials=prompt")
		}
	}
	return nil
}

// parseMount parses URI[=/PATH]. The URI may contain "=" within a name, as in
// dt=2026; a name that starts with "=" is taken for a path without its slash.
func parseMount(text string) (v1alpha1.Mount, error) {
	if at := strings.LastIndex(text, "=/"); at > 0 {
		return v1alpha1.Mount{MountPoint: text[:at], Path: text[at+1:]}, nil
	}
	if at := strings.LastIndex(text, "/="); at > 0 {
		return v1alpha1.Mount{}, clierror.Usagef("invalid --mount %q: the path behind = must start with /", text).
			WithTry("--mount %s=/%s", text[:at+1], text[at+2:])
	}
	return v1alpha1.Mount{MountPoint: text}, nil
}

// refer makes every mount of a store take its credentials from the Secret.
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

// storeSchemes returns the schemes of the mounts that take credentials.
func storeSchemes(dataset *v1alpha1.Dataset) []string {
	var schemes []string
	for _, m := range dataset.Spec.Mounts {
		if scheme := v1alpha1.Scheme(m.MountPoint); isStore(scheme) && !slices.Contains(schemes, scheme) {
			schemes = append(schemes, scheme)
		}
	}
	return schemes
}

// isStore reports whether mounts of the scheme take credentials: directories and
// claims do not. An unknown scheme is left to the validator.
func isStore(scheme string) bool {
	return !slices.Contains([]string{"", "local", "file", "pvc"}, scheme)
}

func optionName(scheme, key string) string { return "fs." + scheme + "." + key }
