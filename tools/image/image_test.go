package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// tree creates a root with one program, a link to it and a file.
func tree(t *testing.T, when time.Time) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "usr", "local", "bin")
	must(t, os.MkdirAll(bin, 0o700))
	must(t, os.WriteFile(filepath.Join(bin, "jindo"), bytes.Repeat([]byte("program"), 1000), 0o700))
	must(t, os.Symlink("jindo", filepath.Join(bin, "alias")))
	must(t, os.WriteFile(filepath.Join(dir, "notes"), []byte("text"), 0o600))
	must(t, os.Chtimes(filepath.Join(bin, "jindo"), when, when))
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	var archives [][]byte
	for _, when := range []time.Time{time.Unix(1, 0), time.Unix(1e9, 0)} {
		out := filepath.Join(t.TempDir(), "x.tar")
		must(t, run([]string{"-out", out, "-name", "example.com/x:1", "-base", "-label", "b=2", "-label", "a=1", "-root", "linux/amd64=" + tree(t, when)}))
		raw, err := os.ReadFile(out)
		must(t, err)
		archives = append(archives, raw)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same files differ")
	}
}

func TestImage(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.tar")
	must(t, run([]string{
		"-out", out, "-name", "docker.io/jindo-io/jindo:dev", "-base", "-user", "65532:65532", "-env", "PATH=/usr/local/bin",
		"-entrypoint", "/usr/local/bin/jindo", "-root", "linux/amd64=" + tree(t, time.Now()), "-root", "linux/arm64=" + tree(t, time.Now()),
	}))
	index := open(t, out)
	manifest, err := index.IndexManifest()
	must(t, err)
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["io.containerd.image.name"] != "docker.io/jindo-io/jindo:dev" {
		t.Fatalf("index %+v", manifest.Manifests)
	}
	inner, err := index.ImageIndex(manifest.Manifests[0].Digest)
	must(t, err)
	images, err := inner.IndexManifest()
	must(t, err)
	if len(images.Manifests) != 2 {
		t.Fatalf("%d images for two platforms", len(images.Manifests))
	}
	for i, arch := range []string{"amd64", "arm64"} {
		described := images.Manifests[i]
		if described.Platform == nil || described.Platform.Architecture != arch {
			t.Errorf("platform %v, want %s", described.Platform, arch)
		}
		image, err := inner.Image(described.Digest)
		must(t, err)
		check(t, image, arch)
	}
}

func check(t *testing.T, image v1.Image, arch string) {
	t.Helper()
	config, err := image.ConfigFile()
	must(t, err)
	if config.Architecture != arch || config.OS != "linux" || config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/usr/local/bin/jindo" {
		t.Errorf("%s: config %+v", arch, config)
	}
	layers, err := image.Layers()
	must(t, err)
	reader, err := layers[0].Uncompressed()
	must(t, err)
	modes := map[string]int64{}
	for archive := tar.NewReader(reader); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s has owner %d:%d and time %s", header.Name, header.Uid, header.Gid, header.ModTime)
		}
		modes[header.Name] = header.Mode
		if header.Name == "etc/ssl/certs/ca-certificates.crt" {
			raw, err := io.ReadAll(archive)
			must(t, err)
			if !x509.NewCertPool().AppendCertsFromPEM(raw) {
				t.Error("the certificates cannot be read")
			}
		}
	}
	for name, mode := range map[string]int64{
		"usr/local/bin/jindo": 0o755, "usr/local/bin/alias": 0o777, "usr/local/": 0o755, "notes": 0o644, "tmp/": 0o1777,
		"etc/passwd": 0o644, "etc/": 0o755,
	} {
		if got, found := modes[name]; !found || got != mode {
			t.Errorf("%s: mode %o (found %v), want %o", name, got, found, mode)
		}
	}
}

func TestOnePlatformIsAnImage(t *testing.T) {
	for _, fast := range []bool{false, true} {
		out := filepath.Join(t.TempDir(), "x.tar")
		args := []string{"-out", out, "-name", "example.com/x:1", "-root", "linux/amd64=" + tree(t, time.Now())}
		if fast {
			args = append(args, "-fast")
		}
		must(t, run(args))
		manifest, err := open(t, out).IndexManifest()
		must(t, err)
		if kind := manifest.Manifests[0].MediaType; !kind.IsImage() {
			t.Errorf("fast %v: %s", fast, kind)
		}
	}
}

// open unpacks an archive and reads its layout.
func open(t *testing.T, archive string) v1.ImageIndex {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(archive)
	must(t, err)
	defer func() { _ = f.Close() }()
	for reader := tar.NewReader(f); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		raw, err := io.ReadAll(reader)
		must(t, err)
		to := filepath.Join(dir, header.Name)
		must(t, os.MkdirAll(filepath.Dir(to), 0o755))
		must(t, os.WriteFile(to, raw, 0o644))
	}
	var version struct{ ImageLayoutVersion string }
	raw, err := os.ReadFile(filepath.Join(dir, "oci-layout"))
	must(t, err)
	must(t, json.Unmarshal(raw, &version))
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	return index
}

func TestRefused(t *testing.T) {
	strange := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(strange, "pipe"), 0o600))
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no root", []string{"-out", "x", "-name", "y:1"}, "are needed"},
		{"no name", []string{"-out", "x", "-root", "linux/amd64=."}, "are needed"},
		{"root without platform", []string{"-root", "dir"}, "write OS/ARCH=DIR"},
		{"label without value", []string{"-label", "dir"}, "write NAME=VALUE"},
		{"a tree that is not there", []string{"-out", "x", "-name", "y:1", "-root", "linux/amd64=/none"}, "no such file"},
		{"a pipe", []string{"-out", "x", "-name", "y:1", "-root", "linux/amd64=" + strange}, "neither a file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			err := run(c.args)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat("x"); !errors.Is(err, fs.ErrNotExist) {
				t.Error("something was written")
			}
		})
	}
}
