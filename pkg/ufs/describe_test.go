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

type summarized struct{}

func (summarized) Error() string   { return "reading a/b (request 1)" }
func (summarized) Summary() string { return "reading" }

func TestSummary(t *testing.T) {
	for want, err := range map[string]error{
		"open mount m: reading: not found":  fmt.Errorf("open mount m: %w: %w", summarized{}, ufs.ErrNotFound),
		"no such key":                       errors.New("no such key"),
		"read tcp 10.0.0.2:443: reset":      errors.New("read tcp 10.0.0.1:40312->10.0.0.2:443: reset"),
		"read tcp [::1]:443: reset by peer": errors.New("read tcp [fe80::1%eth0]:40312->[::1]:443: reset by peer"),
		"write a->":                         errors.New("write a->"),
	} {
		if got := ufs.Summary(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
