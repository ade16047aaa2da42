package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jindo-io/jindo/pkg/master/client"
)

// checkMounts applies the plan's mounts, and removes those that this executor
// has made and that have left the plan.
func (c *checker) checkMounts(ctx context.Context, leads bool) Condition {
	condition := Condition{Name: "mounts"}
	if c.applied {
		return c.mounted(condition)
	}
	if !leads {
		condition.Detail = "waiting for a master that leads"
		return condition
	}
	if err := c.applyMounts(ctx); err != nil {
		condition.Detail, condition.Suspects = err.Error(), names(c.s.masters)
		return condition
	}
	c.applied = true
	return c.mounted(condition)
}

func (c *checker) mounted(condition Condition) Condition {
	if len(c.s.spec.Plan.Mounts) == 0 {
		condition.Met, condition.Detail = true, "nothing is to be mounted"
		return condition
	}
	paths := make([]string, len(c.s.spec.Plan.Mounts))
	for i, m := range c.s.spec.Plan.Mounts {
		paths[i] = m.URI + " at " + m.Path
	}
	condition.Met, condition.Detail = true, strings.Join(paths, ", ")
	return condition
}

func (c *checker) applyMounts(ctx context.Context) error {
	var paths []string
	for _, m := range c.s.spec.Plan.Mounts {
		paths = append(paths, m.Path)
	}
	c.s.mu.Lock()
	before := c.s.formation.Mounts
	c.s.mu.Unlock()
	// Recorded first, so that a mount is never made that would not be removed.
	if err := c.s.noteMounts(union(before, paths)); err != nil {
		return err
	}
	for _, path := range before {
		if !slices.Contains(paths, path) {
			if err := c.masters.Unmount(ctx, path); err != nil && !notFound(err) {
				return fmt.Errorf("unmount %s: %w", path, err)
			}
		}
	}
	for _, m := range c.s.spec.Plan.Mounts {
		if _, _, err := c.masters.Mount(ctx, m.Proto()); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.URI, m.Path, err)
		}
	}
	view, err := c.masters.View(ctx)
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	c.view = view.GetIndex()
	return c.s.noteMounts(paths)
}

// notFound reports whether the mount does not exist, since the user removed it.
func notFound(err error) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Reason == client.ReasonNotFound
}

func (s *supervisor) noteMounts(paths []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.formation.Mounts, paths) {
		return nil
	}
	changed := s.formation
	changed.Mounts = paths
	if err := changed.save(s.layout); err != nil {
		return err
	}
	s.formation = changed
	return nil
}
