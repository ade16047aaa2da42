package ufs_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/ufs"
)

func TestDescribe(t *testing.T) {
	for want, err := range map[string]error{
		"bucket b does not exist":       fmt.Errorf("bucket b does not exist: %w", ufs.ErrNoBucket),
		"no such key":                   fmt.Errorf("no such key: %w", ufs.ErrNotFound),
		"not found":                     ufs.ErrNotFound,
		"an error of its own: invalid":  errors.New("an error of its own: invalid"),
		"the endpoint: not found: here": fmt.Errorf("the endpoint: %w: here", ufs.ErrNotFound),
	} {
		if got := ufs.Describe(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
