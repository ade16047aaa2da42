package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/cache/server"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// openDirectory opens a mount of a directory and lists it.
func openDirectory(t *testing.T, dir string, directories ...string) error {
	t.Helper()
	store, err := server.StoresWith("", directories...)(t.Context(), &commonv1.Mount{Uri: "local://" + dir})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	_, err = store.List(t.Context(), ufs.ListOptions{})
	return err
}

// TestDirectoriesOfTheProcessAreNotServed: a worker serves no directory of its own
// container, whatever a mount names and whatever is in a volume.
func TestDirectoriesOfTheProcessAreNotServed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting needs root")
	}
	base := t.TempDir()
	volume, credentials := filepath.Join(base, "nas"), filepath.Join(base, "credentials")
	for _, dir := range []string{volume, credentials, filepath.Join(base, "nas2"), filepath.Join(base, "plain", "sub")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("tmpfs", volume, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(volume, unix.MNT_DETACH) })
	sub, inner := filepath.Join(volume, "sub"), filepath.Join(volume, "inner")
	for _, dir := range []string{sub, inner} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(credentials, inner, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(inner, unix.MNT_DETACH) })
	for name, target := range map[string]string{"absolute": credentials, "relative": "../credentials", "within": "sub", "magic": "/proc/self/root"} {
		if err := os.Symlink(target, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	plain := filepath.Join(base, "plain")
	for _, test := range []struct {
		name, dir   string
		directories []string
		want        string // part of the error
	}{
		{"nothing is declared", volume, nil, "spec.worker.volumeMounts"},
		{"the volume", volume, []string{volume}, ""},
		{"below the volume", sub, []string{plain, volume}, ""},
		{"the credentials", credentials, []string{volume}, "spec.worker.volumeMounts"},
		{"a name with the same prefix", filepath.Join(base, "nas2"), []string{volume}, "spec.worker.volumeMounts"},
		{"the parent", base, []string{volume}, "spec.worker.volumeMounts"},
		{"the root", "/", []string{volume}, "spec.worker.volumeMounts"},
		{"upwards", volume + "/../credentials", []string{volume}, "spec.worker.volumeMounts"},
		{"an absolute link", filepath.Join(volume, "absolute"), []string{volume}, "symbolic link"},
		{"a relative link", filepath.Join(volume, "relative"), []string{volume}, "symbolic link"},
		{"a link within", filepath.Join(volume, "within"), []string{volume}, "symbolic link"},
		{"a link of the kernel", filepath.Join(volume, "magic", "etc"), []string{volume}, "symbolic link"},
		{"another volume", inner, []string{volume}, "leaves the volume"},
		{"declared, and no volume", plain, []string{plain}, "no volume is mounted"},
		{"below, and no volume", filepath.Join(plain, "sub"), []string{plain}, "no volume is mounted"},
		{"one machine", credentials, []string{"/"}, ""},
	} {
		err := openDirectory(t, test.dir, test.directories...)
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || !errors.Is(err, ufs.ErrPermission)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	// The directory is replaced while the store is open.
	store, err := server.StoresWith("", volume)(t.Context(), &commonv1.Mount{Uri: "local://" + sub})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := os.Remove(sub); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(credentials, sub); err != nil {
		t.Fatal(err)
	}
	if _, err := store.List(t.Context(), ufs.ListOptions{}); !errors.Is(err, ufs.ErrPermission) {
		t.Errorf("a directory that became a link: %v", err)
	}
}

// The revision of credentials is that of the directory, whenever it changes; a file that
// is none counts as no revision.
func TestRevisionOfCredentials(t *testing.T) {
	dir := t.TempDir()
	revision := server.RevisionOf(dir)
	if got := revision(); got != 0 {
		t.Errorf("without a file: %d", got)
	}
	for content, want := range map[string]uint64{"7": 7, "12\n": 12, "": 0, "x": 0, "-1": 0, strings.Repeat("1", 100): 0, "18446744073709551615": 0} {
		if err := os.WriteFile(filepath.Join(dir, ufs.CredentialsRevision), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := revision(); got != want {
			t.Errorf("%.40q: %d, want %d", content, got, want)
		}
	}
	if got := server.RevisionOf("")(); got != 0 {
		t.Errorf("without a directory: %d", got)
	}
}
