package check

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jindo-io/jindo/pkg/cli/apierror"
)

const (
	// deadline of one check, and of all of them.
	deadline = 10 * time.Second
	whole    = 30 * time.Second
	// explained is where every check has a section.
	explained = "https://github.com/jindo-io/jindo/blob/main/docs/checks.md#"
)

// checker looks at one thing.
type checker struct {
	// name is also the heading of its section in docs/checks.md.
	name string
	// fatal: without it no later check means anything.
	fatal bool
	look  func(ctx context.Context, w *world) outcome
}

// category is several checkers that do not depend on each other.
type category struct {
	name     string
	checkers []checker
}

// outcome of a look.
type outcome struct {
	state State
	text  string
}

func good(format string, args ...any) outcome { return outcome{Passed, fmt.Sprintf(format, args...)} }

func warn(format string, args ...any) outcome { return outcome{Warning, fmt.Sprintf(format, args...)} }

func bad(format string, args ...any) outcome { return outcome{Failed, fmt.Sprintf(format, args...)} }

func skip(format string, args ...any) outcome { return outcome{Skipped, fmt.Sprintf(format, args...)} }

// unread is the outcome of a request that failed: who has no right learns which,
// and nothing is said about what could not be seen.
func (w *world) unread(act string, err error) outcome {
	said := apierror.Explain(w.session, w.cluster, act, err)
	if apierrors.IsForbidden(err) {
		return skip("%v", said)
	}
	return bad("%v", said)
}

// runAll goes through the categories in their order, and through the checkers of
// one at once. It ends within its deadline whatever the checkers do.
func runAll(ctx context.Context, w *world, categories []category) []Result {
	ctx, cancel := context.WithTimeout(ctx, w.whole)
	defer cancel()
	var results []Result
	stopped := ""
	for _, c := range categories {
		found := make([]Result, len(c.checkers))
		done := make([]chan Result, len(c.checkers))
		for i, k := range c.checkers {
			found[i] = Result{Category: c.name, Name: k.name, See: explained + k.name}
			if stopped != "" {
				found[i].State, found[i].Message = Skipped, "not looked at: "+stopped
				continue
			}
			done[i] = make(chan Result, 1)
			go func(r Result) { done[i] <- runOne(ctx, w, k, r) }(found[i])
		}
		for i, k := range c.checkers {
			if done[i] == nil {
				continue
			}
			found[i] = <-done[i]
			if k.fatal && found[i].State == Failed {
				stopped = k.name + " failed"
			}
		}
		results = slices.Concat(results, found)
	}
	return results
}

// runOne gives a look its deadline. A look that ignores it is left behind.
func runOne(ctx context.Context, w *world, k checker, r Result) Result {
	limit := w.deadline
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	answer := make(chan outcome, 1)
	go func() { answer <- k.look(ctx, w) }()
	var o outcome
	select {
	case o = <-answer:
	case <-ctx.Done():
		select {
		case o = <-answer:
		case <-time.After(w.grace):
			o = bad("no answer in time")
		}
	}
	r.State, r.Message, r.Seconds = o.state, o.text, time.Since(began).Seconds()
	return r
}
