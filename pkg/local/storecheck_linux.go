package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/storecheck"
)

// storeTimeout limits the check of one store, unless the limit of Up is lower.
const storeTimeout = 15 * time.Second

// checkStores reads from the store of every mount with the driver, the options
// and the credentials that the workers will use, within the limit each. It returns the mounts below
// which there is nothing yet, and a StoreErrors if a store cannot be read.
func (s *Spec) checkStores(ctx context.Context, limit time.Duration) (empty []plan.Mount, err error) {
	mounts := s.Plan.Mounts
	isEmpty, failed := make([]bool, len(mounts)), make([]error, len(mounts))
	var checks sync.WaitGroup
	for i, m := range mounts {
		checks.Go(func() { isEmpty[i], failed[i] = s.checkStore(ctx, m, limit) })
	}
	checks.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading the stores of the mounts: %w", context.Cause(ctx))
	}
	var errs StoreErrors
	for i, m := range mounts {
		switch {
		case failed[i] != nil:
			errs = append(errs, &StoreError{Mount: m, Option: faultyOption(failed[i]), Err: failed[i]})
		case isEmpty[i]:
			empty = append(empty, m)
		}
	}
	if errs != nil {
		return nil, errs
	}
	return empty, nil
}

// checkStore lists one key below a mount's prefix. The worker's program does it: it
// links the drivers, without which the plugin starts faster.
func (s *Spec) checkStore(ctx context.Context, m plan.Mount, limit time.Duration) (empty bool, err error) {
	secrets := s.Secrets[m.SecretRef]
	if err := checkPlaceholders(m, secrets); err != nil {
		return false, err
	}
	request := storecheck.Request{URI: m.URI, Options: m.Options, Limit: limit}
	if m.SecretRef != "" {
		prefix := optionPrefix(m)
		request.Credentials = &ufs.Credentials{
			AccessKeyID:     strings.TrimSpace(secrets[prefix+"accessKeyId"]),
			AccessKeySecret: strings.TrimSpace(secrets[prefix+"accessKeySecret"]),
			SecurityToken:   strings.TrimSpace(secrets[prefix+"securityToken"]),
		}
	}
	empty, err = storecheck.Run(ctx, s.Binaries[string(plan.RoleWorker)], request)
	if errors.Is(err, storecheck.ErrTimeout) {
		err = &noResponseError{mount: m, limit: limit}
	}
	return empty, err
}

// optionPrefix returns the start of the names of a mount's options: "fs.oss.".
func optionPrefix(m plan.Mount) string {
	scheme, _, _ := strings.Cut(strings.ToLower(m.URI), "://")
	return "fs." + scheme + "."
}

// noResponseError reports a store that did not respond within the limit.
type noResponseError struct {
	mount plan.Mount
	limit time.Duration
}

func (e *noResponseError) Error() string {
	option := optionPrefix(e.mount) + "endpoint"
	if endpoint := e.mount.Options[option]; endpoint != "" {
		return fmt.Sprintf("endpoint %s did not respond within %v, check %s and the network", endpoint, e.limit, option)
	}
	return fmt.Sprintf("%s did not respond within %v", e.mount.URI, e.limit)
}

// Unwrap makes it an error of an unavailable store.
func (*noResponseError) Unwrap() error { return ufs.ErrUnavailable }

// placeholder matches what documents write for a value to be filled in.
var placeholder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<[A-Za-z][A-Za-z0-9_. -]*>`) })

// placeholderError reports a value that was copied from a document as it is.
type placeholderError struct{ option, value string }

func (e *placeholderError) Error() string {
	what := "the mount point"
	if e.option != "" {
		what = "option " + e.option
	}
	return fmt.Sprintf("%s still holds the placeholder %s: replace it by your own value", what, e.value)
}

// checkPlaceholders refuses a mount point, an option or a credential with a
// placeholder in it.
func checkPlaceholders(m plan.Mount, secrets map[string]string) error {
	if found := placeholder().FindString(m.URI); found != "" {
		return &placeholderError{value: found}
	}
	for _, option := range slices.Sorted(maps.Keys(m.Options)) {
		if found := placeholder().FindString(m.Options[option]); found != "" {
			return &placeholderError{option: option, value: found}
		}
	}
	for _, option := range slices.Sorted(maps.Keys(secrets)) {
		value := strings.TrimSpace(secrets[option])
		// A secret may contain these characters, so only a whole value counts.
		if found := placeholder().FindString(value); found != "" && found == value {
			return &placeholderError{option: option, value: found}
		}
	}
	return nil
}

// optionName matches the options that the drivers name in their errors.
var optionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bfs\.[a-z0-9]+\.[A-Za-z]+\b`) })

// faultyOption returns the option that a driver's error names first; "" when the
// error is about the mount point.
func faultyOption(err error) string {
	var unfilled *placeholderError
	switch {
	case errors.As(err, &unfilled):
		return unfilled.option
	case errors.Is(err, ufs.ErrNoBucket):
		return ""
	}
	return optionName().FindString(err.Error())
}
