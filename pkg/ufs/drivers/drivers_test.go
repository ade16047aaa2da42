package drivers_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jindo-io/jindo/pkg/ufs"
	"github.com/jindo-io/jindo/pkg/ufs/drivers"
	"github.com/jindo-io/jindo/test/ossserver"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name, uri string
		options   map[string]string
		prints    string
		kind      error
		message   string
	}{
		{"file", "file://" + dir, nil, "file://" + dir + "/", nil, ""},
		{"local", "local://" + dir + "/", nil, "local://" + dir + "/", nil, ""},
		{"oss", "oss://data/a", map[string]string{"fs.oss.endpoint": "oss-cn-hangzhou.aliyuncs.com", "metaPolicy": "ONCE"}, "oss://data/a/", nil, ""},
		{"s3", "s3://data", map[string]string{"fs.s3.region": "eu-west-1"}, "s3://data/", nil, ""},
		{"no directory", "file://" + dir + "/none", nil, "", ufs.ErrNoBucket, "check spec.mounts[].mountPoint"},
		{"no endpoint", "oss://data/", nil, "", ufs.ErrInvalid, "fs.oss.endpoint"},
		{"no region", "s3://data/", nil, "", ufs.ErrInvalid, "fs.s3.region"},
		{"no driver", "hdfs://name:9000/a", nil, "", ufs.ErrInvalid, ""},
		{"no driver of a bucket", "cos://data/", nil, "", ufs.ErrUnsupported, "cos:// is not supported"},
		{"no scheme", "data", nil, "", ufs.ErrInvalid, "no scheme"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, err := drivers.Open(t.Context(), test.uri, test.options, nil)
			if test.kind != nil {
				if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.message) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if store.String() != test.prints {
				t.Errorf("it is called %s", store)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// write replaces a credential.
func write(t testing.TB, dir, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileCredentials(t *testing.T) {
	dir := t.TempDir()
	source := drivers.FileCredentials(dir, "oss://data/")
	_, err := source.Credentials(t.Context())
	if !errors.Is(err, ufs.ErrPermission) || !strings.Contains(err.Error(), "fs.oss.accessKeyId") {
		t.Errorf("without files: %v", err)
	}
	write(t, dir, "fs.oss.accessKeyId", "id\n")
	write(t, dir, "fs.oss.accessKeySecret", " secret ")
	refresh(t, source, ufs.Credentials{}, true)
	want := ufs.Credentials{AccessKeyID: "id", AccessKeySecret: "secret"}
	if got, err := source.Credentials(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	refresh(t, source, want, false)
	write(t, dir, "fs.oss.securityToken", "token")
	write(t, dir, "fs.oss.accessKeyId", "new")
	refresh(t, source, want, true)
	want = ufs.Credentials{AccessKeyID: "new", AccessKeySecret: "secret", SecurityToken: "token"}
	if got, err := source.Credentials(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	// A change that keeps size and time is detected after a refusal.
	name := filepath.Join(dir, "fs.oss.accessKeySecret")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "fs.oss.accessKeySecret", " SECRET ")
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	refresh(t, source, want, true)
	want.AccessKeySecret = "SECRET"
	// A file is empty for a moment while it is rewritten.
	write(t, dir, "fs.oss.accessKeyId", "")
	refresh(t, source, want, false)
	if got, err := source.Credentials(t.Context()); err != nil || got != want {
		t.Errorf("while it is written: %+v, %v", got, err)
	}
	if got, err := drivers.FileCredentials(dir, "file:///x").Credentials(t.Context()); err != nil || got != (ufs.Credentials{}) {
		t.Errorf("for a directory: %+v, %v", got, err)
	}
}

func refresh(t testing.TB, source ufs.CredentialsSource, refused ufs.Credentials, want bool) {
	t.Helper()
	refresher, can := source.(ufs.Refresher)
	if !can {
		t.Fatal("the source cannot be refreshed")
	}
	changed, err := refresher.Refresh(context.Background(), refused)
	if err != nil || changed != want {
		t.Errorf("changed %v, %v", changed, err)
	}
}

// secretVolume writes and replaces a directory as the kubelet does for the
// volume of a Secret.
type secretVolume struct{ dir string }

func (v secretVolume) swap(t testing.TB, version string, data map[string]string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(v.dir, version), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range data {
		write(t, v.dir, version+"/"+name, value)
		err := os.Symlink("..data/"+name, filepath.Join(v.dir, name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(version, filepath.Join(v.dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// TestFlatCredentials reads the files of a mounted Secret, which has no
// subdirectories.
func TestFlatCredentials(t *testing.T) {
	volume := secretVolume{t.TempDir()}
	source := drivers.FileCredentials(filepath.Join(volume.dir, "hadoop"), "oss://data/")
	if _, err := source.Credentials(t.Context()); !errors.Is(err, ufs.ErrPermission) {
		t.Errorf("without files: %v", err)
	}
	volume.swap(t, "..1", map[string]string{
		"hadoop__fs.oss.accessKeyId": "one", "hadoop__fs.oss.accessKeySecret": "1",
		"other__fs.oss.accessKeyId": "other", "other__fs.oss.accessKeySecret": "o",
	})
	first := ufs.Credentials{AccessKeyID: "one", AccessKeySecret: "1"}
	refresh(t, source, ufs.Credentials{}, true)
	if got, err := source.Credentials(t.Context()); err != nil || got != first {
		t.Errorf("got %+v, %v", got, err)
	}
	// The files have the same sizes and times: only the directory of the version
	// differs.
	volume.swap(t, "..2", map[string]string{"hadoop__fs.oss.accessKeyId": "two", "hadoop__fs.oss.accessKeySecret": "2"})
	for _, name := range []string{"hadoop__fs.oss.accessKeyId", "hadoop__fs.oss.accessKeySecret"} {
		info, err := os.Stat(filepath.Join(volume.dir, "..1", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(volume.dir, "..2", name), info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	second := ufs.Credentials{AccessKeyID: "two", AccessKeySecret: "2"}
	deadline := time.Now().Add(time.Minute)
	for {
		got, err := source.Credentials(t.Context())
		if err != nil || got != first && got != second {
			t.Fatalf("got %+v, %v", got, err)
		}
		if got == second {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new version is not seen")
		}
		time.Sleep(50 * time.Millisecond)
	}
	// A directory has precedence over flat files.
	if err := os.Mkdir(filepath.Join(volume.dir, "hadoop"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, volume.dir, "hadoop/fs.oss.accessKeyId", "folder")
	write(t, volume.dir, "hadoop/fs.oss.accessKeySecret", "f")
	refresh(t, source, second, true)
}

// TestSecretIsSwapped replaces a directory as a mounted Secret is replaced, while
// a store is open: the next request is signed with the new key and succeeds.
func TestSecretIsSwapped(t *testing.T) {
	server := ossserver.New(ossserver.Config{AccessKeyID: "one", AccessKeySecret: "1"})
	if err := server.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	dir := t.TempDir()
	volume := secretVolume{dir}
	swap := func(version, id, secret string) {
		volume.swap(t, version, map[string]string{"fs.oss.accessKeyId": id, "fs.oss.accessKeySecret": secret})
	}
	swap("v1", "one", "1")
	uri := "oss://data/"
	store, err := drivers.Open(t.Context(), uri, map[string]string{"fs.oss.endpoint": listener.URL}, drivers.FileCredentials(dir, uri))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	for i, key := range []struct{ version, id, secret string }{{"", "one", "1"}, {"v2", "two", "2"}, {"v3", "two", "3"}} {
		if key.version != "" {
			swap(key.version, key.id, key.secret)
		}
		server.SetKeys(map[string]ossserver.Key{key.id: {Secret: key.secret}})
		if _, err := store.List(t.Context(), ufs.ListOptions{}); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
}
