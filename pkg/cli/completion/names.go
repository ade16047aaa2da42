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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/session"
)

// patience with a cluster while somebody waits at a prompt.
const patience = 2 * time.Second

// Function completes arguments or the value of a flag. It never fails: what
// cannot be known is not offered.
type Function = cobra.CompletionFunc

// lister answers names, each with what is to be said about it.
type lister func(ctx context.Context, c *session.Cluster) ([]entry, error)

type entry struct{ name, about string }

// Datasets by name: "imagenet  Bound 87% cached".
func Datasets(s *session.Session) Function { return live(s, datasets) }

// Runtimes by name: "hadoop  masters 3/3, workers 3/3".
func Runtimes(s *session.Session) Function { return live(s, runtimes) }

// Loads are the DataLoads by name.
func Loads(s *session.Session) Function { return live(s, loads) }

// DatasetsAndRuntimes by name, where a command takes either.
func DatasetsAndRuntimes(s *session.Session) Function {
	return live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
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
}

// Pods by name.
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

// Namespaces by name.
func Namespaces(s *session.Session) Function {
	return live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
		return metadata(ctx, c, schema.GroupVersionKind{Version: "v1", Kind: "NamespaceList"}, "")
	})
}

// Secrets by name; what is in them is not asked for.
func Secrets(s *session.Session) Function {
	return live(s, func(ctx context.Context, c *session.Cluster) ([]entry, error) {
		return metadata(ctx, c, schema.GroupVersionKind{Version: "v1", Kind: "SecretList"}, c.Namespace)
	})
}

// Contexts of the kubeconfig.
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

// Words that are always the same, such as kinds.
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

func live(s *session.Session, list lister) Function {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, patience)
		defer cancel()
		s.RequestTimeout = patience
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

// offer what begins like what was typed and is not there already.
func offer(found []entry, given []string, typed string) []string {
	var offered []string
	for _, e := range found {
		if !strings.HasPrefix(e.name, typed) || slices.Contains(given, e.name) {
			continue
		}
		text := e.name
		if e.about != "" {
			text += "\t" + strings.Join(strings.Fields(e.about), " ")
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
		about := string(d.Status.Phase)
		if cached := d.Status.CacheStates[v1alpha1.CacheStateCachedPercentage]; cached != "" {
			about += " " + cached + " cached"
		}
		found = append(found, entry{d.Name, about})
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
