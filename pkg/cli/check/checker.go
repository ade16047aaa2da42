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
	// deadline of one check, and of all checks together.
	deadline = 10 * time.Second
	whole    = 30 * time.Second
	// explained is the page with a section for every check.
	explained = "https://github.com/jindo-io/jindo/blob/main/docs/checks.md#"
)

// notRun starts the message of checks that a fatal failure skips.
const notRun = "not run: "

// checker is one check.
type checker struct {
	// name, which is also the heading of its section in docs/checks.md.
	name string
	// fatal checks skip all later categories if they fail.
	fatal bool
	run   func(ctx context.Context, w *checkContext) outcome
}

// category is a group of checks that run concurrently.
type category struct {
	name     string
	checkers []checker
}

// outcome is the result of a check.
type outcome struct {
	state State
	text  string
}

func good(format string, args ...any) outcome { return outcome{Passed, fmt.Sprintf(format, args...)} }

func warn(format string, args ...any) outcome { return outcome{Warning, fmt.Sprintf(format, args...)} }

func bad(format string, args ...any) outcome { return outcome{Failed, fmt.Sprintf(format, args...)} }

func skip(format string, args ...any) outcome { return outcome{Skipped, fmt.Sprintf(format, args...)} }

// unread returns the outcome of a request that failed. Without the right the check
// is skipped, and the message names the right.
func (w *checkContext) unread(act string, err error) outcome {
	explained := apierror.Explain(w.session, w.cluster, act, err)
	if apierrors.IsForbidden(err) {
		return skip("%v", explained)
	}
	return bad("%v", explained)
}

// runAll runs the categories in their order, and the checks of one concurrently. It
// ends within its deadline even if checks do not.
func runAll(ctx context.Context, w *checkContext, categories []category) []Result {
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
				found[i].State, found[i].Message = Skipped, notRun+stopped
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

// runOne runs a check with its deadline. A check that ignores the deadline is
// abandoned, and fails.
func runOne(ctx context.Context, w *checkContext, k checker, r Result) Result {
	limit := w.deadline
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	result := make(chan outcome, 1)
	go func() { result <- k.run(ctx, w) }()
	var o outcome
	select {
	case o = <-result:
	case <-ctx.Done():
		select {
		case o = <-result:
		case <-time.After(w.grace):
			o = bad("no response in time")
		}
	}
	r.State, r.Message, r.Seconds = o.state, o.text, time.Since(began).Seconds()
	return r
}
