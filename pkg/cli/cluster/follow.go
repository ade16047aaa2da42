package cluster

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// Follow calls changed after every change of a runtime, Dataset or pod in a namespace,
// or in all for "". It returns nil when the context or a watch has ended, and an
// error when watching is not possible.
func (s *Source) Follow(ctx context.Context, namespace string, changed func()) error {
	watcher, err := s.cluster.Watcher()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kinds := []client.ObjectList{&v1alpha1.JindoRuntimeList{}, &v1alpha1.DatasetList{}, &corev1.PodList{}}
	failed := make([]error, len(kinds))
	var following sync.WaitGroup
	for i, kind := range kinds {
		following.Go(func() {
			defer cancel() // the others alone would miss changes
			failed[i] = follow(ctx, watcher, kind, namespace, changed)
		})
	}
	following.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func follow(ctx context.Context, watcher *client.Client, kind client.ObjectList, namespace string, changed func()) error {
	w, err := watcher.Watch(ctx, kind, client.InNamespace(namespace))
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the caller ended it
	}
	if err != nil {
		return fmt.Errorf("watch %T: %w", kind, err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-w.ResultChan():
			switch {
			case !open || event.Type == watch.Error:
				return nil
			case event.Type != watch.Bookmark:
				changed()
			}
		}
	}
}
