package cluster

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

// Follow calls changed after every change of what reports are made from, in a
// namespace or with "" in all. It comes back when the context or a watch has
// ended; the error says that watching is not possible at all.
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
			defer cancel() // one alone would miss changes
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

func follow(ctx context.Context, watcher client.WithWatch, kind client.ObjectList, namespace string, changed func()) error {
	w, err := watcher.Watch(ctx, kind, client.InNamespace(namespace))
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to end
	}
	if err != nil {
		return fmt.Errorf("watching %T: %w", kind, err)
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
