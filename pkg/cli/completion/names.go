package completion

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// timeout bounds the requests of one completion.
const timeout = 2 * time.Second

// Function completes arguments or the value of a flag. Names that cannot be read
// are not offered.
type Function = cobra.CompletionFunc

// lister returns names with their descriptions.
type lister func(ctx context.Context, c *session.Cluster) ([]entry, error)

type entry struct{ name, description string }

// Datasets completes names of Datasets: "imagenet  Bound 87% cached".
func Datasets(s *session.Session) Function { return live(s, datasets) }

// Runtimes completes names of JindoRuntimes: "hadoop  masters 3/3, workers 3/3".
func Runtimes(s *session.Session) Function { return live(s, runtimes) }

// Loads completes names of DataLoads.
func Loads(s *session.Session) Function { return live(s, loads) }

// DatasetsAndRuntimes completes names of either kind; with --local, those of local
// runtimes.
func DatasetsAndRuntimes(s *session.Session) Function {
	local := LocalRuntimes(s)
	inCluster := live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
		found, err := datasets(ctx, c)
		if err != nil {
			return nil, err
		}
		more, err := runtimes(ctx, c)
		for _, e := range more {
			if !slices.ContainsFunc(found, func(f entry) bool { return f.name == e.name }) {
				found = append(found, e)
			}
		}
		return found, err
	})
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if s.Local {
			return local(cmd, args, typed)
		}
		return inCluster(cmd, args, typed)
	}
}

// LocalRuntimes completes names of the runtimes on this machine.
func LocalRuntimes(s *session.Session) Function {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		s.Local = true
		source, err := s.Source(s)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(commandContext(cmd), timeout)
		defer cancel()
		refs, err := source.Runtimes(ctx, s.InNamespace())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []entry
		for _, ref := range refs {
			found = append(found, entry{name: ref.Name})
		}
		return offer(found, args, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// Pods completes names of Pods.
func Pods(s *session.Session) Function {
	return live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
		list := &corev1.PodList{}
		err := c.List(ctx, list, client.InNamespace(c.Namespace))
		found := make([]entry, 0, len(list.Items))
		for _, pod := range list.Items {
			found = append(found, entry{pod.Name, string(pod.Status.Phase)})
		}
		return found, err
	})
}

// Namespaces completes names of Namespaces.
func Namespaces(s *session.Session) Function {
	return live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
		return metadata(ctx, c, schema.GroupVersionKind{Version: "v1", Kind: "NamespaceList"}, "")
	})
}

// Secrets completes names of Secrets; only their metadata is requested.
func Secrets(s *session.Session) Function {
	return live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
		return metadata(ctx, c, schema.GroupVersionKind{Version: "v1", Kind: "SecretList"}, c.Namespace)
	})
}

// Contexts completes names of contexts of the kubeconfig.
func Contexts(s *session.Session) Function {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		if s.Kube == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		config, err := s.Kube.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []entry
		for name, context := range config.Contexts {
			found = append(found, entry{name, context.Cluster})
		}
		return offer(found, nil, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// Once completes only the first argument.
func Once(f Function) Function {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, typed)
	}
}

// Words completes fixed words.
func Words(words ...string) Function {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		var found []string
		for _, word := range words {
			if strings.HasPrefix(word, typed) {
				found = append(found, word)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// commandContext returns the context of a command, which has none in tests.
func commandContext(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// live returns a Function that lists names in the cluster.
func live(s *session.Session, list lister) Function {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(commandContext(cmd), timeout)
		defer cancel()
		s.RequestTimeout = timeout
		c, err := s.Cluster()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := list(ctx, c)
		if err != nil {
			found = nil
		}
		return offer(found, args, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer returns the entries that start with what was typed and were not given yet.
func offer(found []entry, given []string, typed string) []string {
	var offered []string
	for _, e := range found {
		if !strings.HasPrefix(e.name, typed) || slices.Contains(given, e.name) {
			continue
		}
		text := e.name
		if e.description != "" {
			text += "\t" + strings.Join(strings.Fields(e.description), " ")
		}
		offered = append(offered, text)
	}
	slices.Sort(offered)
	return offered
}

func datasets(ctx context.Context, c *session.Cluster) ([]entry, error) {
	list := &v1alpha1.DatasetList{}
	err := c.List(ctx, list, client.InNamespace(c.Namespace))
	found := make([]entry, 0, len(list.Items))
	for _, d := range list.Items {
		state := string(d.Status.Phase)
		if cached := d.Status.CacheStates[v1alpha1.CacheStateCachedPercentage]; cached != "" {
			state += " " + cached + " cached"
		}
		found = append(found, entry{d.Name, state})
	}
	return found, err
}

func runtimes(ctx context.Context, c *session.Cluster) ([]entry, error) {
	list := &v1alpha1.JindoRuntimeList{}
	err := c.List(ctx, list, client.InNamespace(c.Namespace))
	found := make([]entry, 0, len(list.Items))
	for _, r := range list.Items {
		found = append(found, entry{r.Name, fmt.Sprintf("masters %d/%d, workers %d/%d", r.Status.MasterNumberReady,
			r.Status.DesiredMasterNumberScheduled, r.Status.WorkerNumberReady, r.Status.DesiredWorkerNumberScheduled)})
	}
	return found, err
}

func loads(ctx context.Context, c *session.Cluster) ([]entry, error) {
	list := &v1alpha1.DataLoadList{}
	err := c.List(ctx, list, client.InNamespace(c.Namespace))
	found := make([]entry, 0, len(list.Items))
	for _, l := range list.Items {
		found = append(found, entry{l.Name, string(l.Status.Phase)})
	}
	return found, err
}

func metadata(ctx context.Context, c *session.Cluster, kind schema.GroupVersionKind, namespace string) ([]entry, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind)
	err := c.List(ctx, list, client.InNamespace(namespace))
	found := make([]entry, 0, len(list.Items))
	for _, object := range list.Items {
		found = append(found, entry{name: object.Name})
	}
	return found, err
}
