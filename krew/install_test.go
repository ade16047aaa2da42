package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// host is the platform that the tests run on.
func host() platform { return platform{runtime.GOOS, runtime.GOARCH} }

// TestInstall does what krew does with the manifest and the archive of this
// platform, and runs what it has installed as kubectl would.
func TestInstall(t *testing.T) {
	out, again := t.TempDir(), t.TempDir()
	sum, err := pack(t.Context(), "..", out, exampleVersion, host())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := pack(t.Context(), "..", again, exampleVersion, host()); err != nil || other != sum {
		t.Errorf("packed twice: %s and %s, error %v", sum, other, err)
	}
	text, err := renderWith(exampleVersion, func(string) (string, error) { return sum, nil })
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	p := matching(m, host())[0]
	archive, err := os.ReadFile(filepath.Join(out, filepath.Base(p.URI)))
	if err != nil {
		t.Fatal(err)
	}
	bin := install(t, m, p, archive)
	said, err := exec.CommandContext(t.Context(), filepath.Join(bin, binary), "version", "--client").Output()
	if err != nil || !strings.Contains(string(said), m.Spec.Version+" ") {
		t.Errorf("the version is %q, error %v, want %s", said, err, m.Spec.Version)
	}
	t.Run("through kubectl", func(t *testing.T) { throughKubectl(t, bin, m.Spec.Version) })
}

// install unpacks into a store as krew's and links the program into its bin.
func install(t *testing.T, m *manifest, p manifestPlatform, archive []byte) (bin string) {
	t.Helper()
	root := t.TempDir()
	store := filepath.Join(root, "store", m.Metadata.Name, m.Spec.Version)
	files, err := unpack(p.URI, archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files["LICENSE"].mode != 0o644 || files[p.Bin].mode != 0o755 {
		t.Errorf("the archive has %v", files)
	}
	licence, err := os.ReadFile("../LICENSE")
	if err != nil || !bytes.Equal(files["LICENSE"].content, licence) {
		t.Errorf("the licence is not the project's; error %v", err)
	}
	if err := os.MkdirAll(store, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(store, name), f.content, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	bin = filepath.Join(root, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(store, p.Bin), filepath.Join(bin, "kubectl-"+m.Metadata.Name)); err != nil {
		t.Fatal(err)
	}
	return bin
}

// throughKubectl finds the program as kubectl finds its plugins.
func throughKubectl(t *testing.T, bin, version string) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("not run: there is no kubectl on PATH; test/e2e does the same with the cluster's")
	}
	cmd := exec.CommandContext(t.Context(), kubectl, "jindo", "version", "--client")
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	said, err := cmd.Output()
	if err != nil || !strings.Contains(string(said), version+" ") {
		t.Errorf("kubectl jindo version --client: %q, error %v", said, err)
	}
}

// TestArchives of both kinds hold what they are given, with nothing of this
// machine in it.
func TestArchives(t *testing.T) {
	given := []packedFile{{"LICENSE", 0o644, []byte("words")}, {"kubectl-jindo", 0o755, []byte("program")}}
	for _, p := range []platform{{"linux", "amd64"}, {"windows", "amd64"}} {
		t.Run(p.String(), func(t *testing.T) {
			first, err := p.write(given)
			if err != nil {
				t.Fatal(err)
			}
			if second, err := p.write(given); err != nil || !bytes.Equal(first, second) {
				t.Errorf("written twice, it differs; error %v", err)
			}
			files, err := unpack(p.archive(exampleVersion), first)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range given {
				if got := files[f.name]; got.mode != f.mode || !bytes.Equal(got.content, f.content) {
					t.Errorf("%s: %v %q", f.name, got.mode, got.content)
				}
			}
		})
	}
}

// unpack reads an archive by its name, and refuses owners and times of a
// machine.
func unpack(name string, archive []byte) (map[string]packedFile, error) {
	if strings.HasSuffix(name, ".zip") {
		return unzip(archive)
	}
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	if !compressed.ModTime.IsZero() || compressed.Name != "" {
		return nil, fmt.Errorf("the compression says %v %q", compressed.ModTime, compressed.Name)
	}
	files := map[string]packedFile{}
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Uid != 0 || header.Gid != 0 || !header.ModTime.Equal(made()) || header.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%s is of %d:%d, made at %v, kind %c", header.Name, header.Uid, header.Gid, header.ModTime, header.Typeflag)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		files[header.Name] = packedFile{header.Name, header.FileInfo().Mode(), content}
	}
}

func unzip(archive []byte) (map[string]packedFile, error) {
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	files := map[string]packedFile{}
	for _, entry := range reader.File {
		file, err := entry.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(file)
		if err != nil {
			return nil, err
		}
		if !entry.Modified.Equal(made()) {
			return nil, fmt.Errorf("%s was made at %v", entry.Name, entry.Modified)
		}
		files[entry.Name] = packedFile{entry.Name, entry.Mode(), content}
	}
	return files, nil
}
