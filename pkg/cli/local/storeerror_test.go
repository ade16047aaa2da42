package local

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/local"
	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/retry"
)

// TestFieldOfStoreError checks that an unreadable store is reported with the field
// that its option comes from. The first mount has no driver and is not in the plan.
func TestFieldOfStoreError(t *testing.T) {
	o := &upOptions{dataset: &v1alpha1.Dataset{Spec: v1alpha1.DatasetSpec{
		SharedOptions:        map[string]string{"fs.oss.region": "r"},
		SharedEncryptOptions: []v1alpha1.EncryptOption{{Name: "fs.oss.securityToken"}},
		Mounts: []v1alpha1.Mount{
			{Name: "hdfs", MountPoint: "hdfs://name/"},
			{Name: "data", MountPoint: "oss://data/", Options: map[string]string{"fs.oss.endpoint": "e"}, EncryptOptions: []v1alpha1.EncryptOption{{Name: "fs.oss.accessKeyId"}}},
		},
	}}}
	mount := plan.Mount{Name: "data", URI: "oss://data/", SecretRef: "data"}
	p := &plan.Plan{Mounts: []plan.Mount{mount}, Credentials: []plan.Credentials{{SecretRef: "data", Refs: []plan.SecretKeyRef{
		{Option: "fs.oss.accessKeyId", Name: "keys", Key: "id"},
		{Option: "fs.oss.securityToken", Name: "keys", Key: "token"},
		{Option: "fs.oss.accessKeySecret", Name: "of-runtime", Key: "AccessKeySecret"},
	}}}}
	for option, want := range map[string]string{
		"":                       "spec.mounts[1].mountPoint",
		"fs.oss.endpoint":        "spec.mounts[1].options[fs.oss.endpoint]",
		"fs.oss.accessKeyId":     "spec.mounts[1].encryptOptions[fs.oss.accessKeyId] (key id of Secret keys)",
		"fs.oss.region":          "spec.sharedOptions[fs.oss.region]",
		"fs.oss.securityToken":   "spec.sharedEncryptOptions[fs.oss.securityToken] (key token of Secret keys)",
		"fs.oss.accessKeySecret": "spec.secret (key AccessKeySecret of Secret of-runtime)",
		"fs.oss.pathStyle":       "spec.mounts[1].options[fs.oss.pathStyle]",
	} {
		if got := o.field(p, &local.StoreError{Mount: mount, Option: option}); got != want {
			t.Errorf("option %q: got %s, want %s", option, got, want)
		}
	}
}

func TestOfflineHint(t *testing.T) {
	o, p := &upOptions{}, &plan.Plan{Mounts: make([]plan.Mount, 1)}
	for _, test := range []struct {
		err  error
		hint bool
	}{
		{fmt.Errorf("timeout: %w", ufs.ErrUnavailable), true},
		{retry.Final(fmt.Errorf("no TLS: %w", ufs.ErrUnavailable)), false},
		{fmt.Errorf("denied: %w", ufs.ErrPermission), false},
	} {
		err := o.explainStores(p, local.StoreErrors{{Err: test.err}})
		var explained *clierror.Error
		if !errors.As(err, &explained) || explained.Code != clierror.General || strings.Contains(explained.Hint, "--skip-store-check") != test.hint {
			t.Errorf("%v: got %+v", test.err, explained)
		}
	}
}
