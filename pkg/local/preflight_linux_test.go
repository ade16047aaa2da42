package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/plan"
	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/test/ossserver"
	"github.com/jindo-io/jindo/test/ports"
)

// storeSpec returns an order with one mount of an OSS bucket.
func storeSpec(uri, endpoint, id, secret string) *Spec {
	return &Spec{
		Plan: plan.Plan{Namespace: "default", Name: "hadoop", Mounts: []plan.Mount{
			{Name: "data", Path: "/data", URI: uri, Options: map[string]string{"fs.oss.endpoint": endpoint}, SecretRef: "data"},
		}},
		Secrets:  map[string]map[string]string{"data": {"fs.oss.accessKeyId": id, "fs.oss.accessKeySecret": secret}},
		Binaries: map[string]string{"worker": "/proc/self/exe"},
	}
}

func TestUnreadableStoreNamesTheField(t *testing.T) {
	t.Setenv(asProgram, "1")
	store := ossserver.New(ossserver.Config{AccessKeyID: "id", AccessKeySecret: "secret"})
	if err := store.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	plain, encrypted := httptest.NewServer(store), httptest.NewTLSServer(store)
	defer plain.Close()
	defer encrypted.Close()
	closed := fmt.Sprintf("http://127.0.0.1:%d", ports.Reserve(t))
	for _, test := range []struct {
		name                      string
		uri, endpoint, id, secret string
		option, message           string
	}{
		{"placeholder in an option", "oss://data/", "<OSS_ENDPOINT>", "id", "secret", "fs.oss.endpoint", "placeholder <OSS_ENDPOINT>"},
		{"placeholder in the bucket", "oss://<BUCKET>/", plain.URL, "id", "secret", "", "placeholder <BUCKET>"},
		{"placeholder in a secret", "oss://data/", plain.URL, "id", " <SECRET>\n", "fs.oss.accessKeySecret", "placeholder <SECRET>"},
		{"wrong id", "oss://data/", plain.URL, "other", "secret", "fs.oss.accessKeyId", "unknown access key id"},
		{"wrong secret", "oss://data/", plain.URL, "id", "other", "fs.oss.accessKeySecret", "signature"},
		{"missing bucket", "oss://other/", plain.URL, "id", "secret", "", "bucket other does not exist"},
		{"closed port", "oss://data/", closed, "id", "secret", "fs.oss.endpoint", "refuses connections"},
		{"TLS to a plain server", "oss://data/", strings.Replace(plain.URL, "http:", "https:", 1), "id", "secret", "fs.oss.endpoint", "does not speak TLS"},
		{"no TLS to a TLS server", "oss://data/", strings.Replace(encrypted.URL, "https:", "http:", 1), "id", "secret", "fs.oss.endpoint", "expects TLS"},
		{"unknown certificate", "oss://data/", encrypted.URL, "id", "secret", "fs.oss.endpoint", "is not trusted"},
		{"unknown option value", "oss://data/", "ftp://host", "id", "secret", "fs.oss.endpoint", "ftp://host"},
		{"missing directory", "file:///nonexistent", "", "", "", "", "/nonexistent does not exist"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := storeSpec(test.uri, test.endpoint, test.id, test.secret).checkStores(t.Context(), storeTimeout)
			var errs StoreErrors
			if !errors.As(err, &errs) || len(errs) != 1 {
				t.Fatalf("got %v", err)
			}
			if errs[0].Option != test.option || !strings.Contains(errs[0].Error(), test.message) {
				t.Errorf("option %q: %v; want option %q and %q", errs[0].Option, err, test.option, test.message)
			}
			for _, internal := range []string{": unavailable", ": invalid", ": bucket not found", "operation error", "StatusCode: 0", "connection refused: connection refused"} {
				if strings.Contains(errs[0].Error(), internal) {
					t.Errorf("%v contains %q", errs[0], internal)
				}
			}
		})
	}
	t.Run("right settings", func(t *testing.T) {
		spec := storeSpec("oss://data/", plain.URL, "id", "secret\n")
		empty, err := spec.checkStores(t.Context(), storeTimeout)
		if err != nil || len(empty) != 1 {
			t.Errorf("an empty bucket: %v, %v", empty, err)
		}
		if _, err := store.Put("data", "key", []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		if empty, err = spec.checkStores(t.Context(), storeTimeout); err != nil || len(empty) != 0 {
			t.Errorf("a bucket with an object: %v, %v", empty, err)
		}
	})
	t.Run("no response", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
		endpoint := "http://" + silent.Addr().String()
		_, err = storeSpec("oss://data/", endpoint, "id", "secret").checkStores(t.Context(), 50*time.Millisecond)
		var errs StoreErrors
		if !errors.As(err, &errs) || errs[0].Option != "fs.oss.endpoint" || !errors.Is(err, ufs.ErrUnavailable) ||
			!strings.Contains(err.Error(), "endpoint "+endpoint+" did not respond within 50ms") || strings.Contains(err.Error(), "context") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := storeSpec("oss://data/", plain.URL, "id", "secret").checkStores(ctx, storeTimeout); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestRefusedUpLeavesNothing checks that a refusal comes before the state
// directory is made.
func TestRefusedUpLeavesNothing(t *testing.T) {
	t.Setenv(asProgram, "1")
	spec := specOf(t, "sleep 60")
	spec.Binaries["worker"] = "/proc/self/exe"
	spec.Plan.Mounts = []plan.Mount{{Name: "data", Path: "/data", URI: "file:///nonexistent"}}
	_, err := Up(t.Context(), UpOptions{Spec: spec, Self: []string{"/proc/self/exe"}, Timeout: waitTime})
	if !errors.Is(err, ufs.ErrNoBucket) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(spec.Root); err != nil || len(entries) > 0 {
		t.Errorf("left in %s: %v, %v", spec.Root, entries, err)
	}
}

func TestTooManyWorkersAreRefused(t *testing.T) {
	spec := &Spec{Root: t.TempDir(), Plan: plan.Plan{Namespace: "default", Name: "hadoop", Workers: &plan.Component{Replicas: maxWorkers + 1}}}
	if err := spec.checkReplicas(spec.Layout()); err == nil || !strings.Contains(err.Error(), "spec.replicas") {
		t.Errorf("too many workers: %v", err)
	}
}

func TestMountpointsThatAreRefused(t *testing.T) {
	root, store := t.TempDir(), t.TempDir()
	used := filepath.Join(root, "used")
	for _, dir := range []string{filepath.Join(used, "file"), filepath.Join(root, "empty"), filepath.Join(root, "mounted")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(root, "regular")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	state := NewLayout(root, "default", "hadoop")
	mounted := filepath.Join(root, "mounted")
	if os.Geteuid() == 0 {
		mountTmpfs(t, mounted)
	}
	for point, want := range map[string]string{
		filepath.Join(root, "empty"):        "",
		filepath.Join(root, "new", "below"): "",
		state.Mountpoint():                  "",
		"/etc":                              "directory of the system",
		"/":                                 "directory of the system",
		"/proc/1":                           "directory of the system",
		filepath.Join(root, "link"):         "not empty",
		used:                                "not empty: it contains file",
		file:                                "not a directory",
		filepath.Join(file, "below"):        "not a directory",
		filepath.Join(state.Dir, "data"):    "state directory",
		store:                               "overlaps",
		filepath.Join(store, "below"):       "overlaps",
		filepath.Dir(store):                 "overlaps",
		mounted:                             "tmpfs is already mounted",
	} {
		if point == mounted && os.Geteuid() != 0 {
			continue
		}
		spec := &Spec{Root: root, Mountpoint: point, Plan: plan.Plan{Namespace: "default", Name: "hadoop", Mounts: []plan.Mount{{URI: "file://" + store}}}}
		err := spec.checkMountpoint(state)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", point, err, want)
		}
	}
}

func TestQuotaNotice(t *testing.T) {
	spec := &Spec{Root: t.TempDir(), Plan: plan.Plan{Namespace: "default", Name: "hadoop"}}
	for quota, want := range map[int64]bool{1: false, 200 << 40: true, 1<<63 - 1: true} {
		spec.Plan.Workers = &plan.Component{Replicas: 3, Volumes: []plan.Volume{{Kind: plan.VolumeTier, Tier: &plan.Tier{Quota: quota}}}}
		notices := spec.quotaNotices(spec.Layout())
		if got := len(notices) == 1 && strings.Contains(notices[0], "spec.tieredstore"); got != want {
			t.Errorf("quota %d: %q", quota, notices)
		}
	}
}
