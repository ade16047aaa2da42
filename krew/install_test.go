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

// host returns the platform of the tests.
func host() platform { return platform{runtime.GOOS, runtime.GOARCH} }

// TestInstall installs from the manifest and the archive of this platform with
// krew, runs the installed plugin through krew's link as kubectl does, and
// uninstalls it.
func TestInstall(t *testing.T) {
	out, again := t.TempDir(), t.TempDir()
	sum, err := pack(t.Context(), "..", out, exampleVersion, host())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := pack(t.Context(), "..", again, exampleVersion, host()); err != nil || other != sum {
		t.Errorf("packed twice: %s and %s, error %v", sum, other, err)
	}
	archive := filepath.Join(out, host().archive(exampleVersion))
	checkContents(t, archive)

	k := newKrew(t)
	good, bad := k.manifest(t, sum), k.manifest(t, strings.Repeat("f", len(sum)))
	if output, err := k.run(t, "install", "--manifest="+bad, "--archive="+archive); err == nil || !strings.Contains(output, "checksum") {
		t.Errorf("archive with another checksum: got %v, want a checksum error: %s", err, output)
	}
	output, err := k.run(t, "install", "--manifest="+good, "--archive="+archive)
	if err != nil || !strings.Contains(output, "Installed plugin: jindo") || !strings.Contains(output, "kubectl jindo completion install") {
		t.Fatalf("krew install: %v\n%s", err, output)
	}
	if output, err := k.run(t, "list"); err != nil || !strings.Contains(output, pluginName) {
		t.Errorf("krew list: %v, %s", err, output)
	}
	installed := filepath.Join(k.root, "bin", binary)
	version, err := exec.CommandContext(t.Context(), installed, "version", "--client").Output()
	if err != nil || !strings.Contains(string(version), exampleVersion+" ") {
		t.Errorf("the version is %q, error %v, want %s", version, err, exampleVersion)
	}
	k.complete(t, installed)
	t.Run("through kubectl", func(t *testing.T) { throughKubectl(t, filepath.Dir(installed)) })
	beside := filepath.Join(k.root, "bin", "kubectl_complete-"+pluginName)
	install := exec.CommandContext(t.Context(), installed, "completion", "install", "--dir="+filepath.Dir(beside))
	if output, err := install.CombinedOutput(); err != nil {
		t.Errorf("completion install: %v, %s", err, output)
	}
	if output, err := k.run(t, "uninstall", "jindo"); err != nil {
		t.Errorf("krew uninstall: %v, %s", err, output)
	}
	if _, err := os.Lstat(installed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("krew's link exists after uninstall: %v", err)
	}
	if output, err := exec.CommandContext(t.Context(), beside, "raft", "").CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("completion of an uninstalled plugin: %q, error %v", output, err)
	}
	if _, err := os.Lstat(beside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the completion exists after uninstall: %v", err)
	}
}

// krew is an installation of krew: the program and its root directory.
type krew struct{ program, root string }

func newKrew(t *testing.T) *krew {
	t.Helper()
	k := &krew{program: filepath.Join(t.TempDir(), "krew"), root: t.TempDir()}
	// An empty index; without one krew clones its own from the network.
	index := filepath.Join(k.root, "index", "default")
	if err := os.MkdirAll(filepath.Join(index, "plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"remote", "add", "origin", "https://index.example/"}} {
		if output, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", index}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v, %s", args, err, output)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", k.program, "sigs.k8s.io/krew/cmd/krew")
	cmd.Dir = filepath.Join("..", "tools", "krew")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build krew: %v\n%s", err, output)
	}
	return k
}

// run runs krew without a check for upgrades.
func (k *krew) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), k.program, args...)
	cmd.Env = append(os.Environ(), "KREW_ROOT="+k.root, "HOME="+k.root, "KREW_NO_UPGRADE_CHECK=1")
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// manifest writes a manifest whose archives all have one checksum.
func (k *krew) manifest(t *testing.T, sum string) string {
	t.Helper()
	text, err := renderWith("..", exampleVersion, func(string) (string, error) { return sum, nil })
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), pluginName+".yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// complete installs the program that kubectl runs for completions, and runs it.
func (k *krew) complete(t *testing.T, installed string) {
	t.Helper()
	dir := t.TempDir()
	if output, err := exec.CommandContext(t.Context(), installed, "completion", "install", "--dir="+dir).CombinedOutput(); err != nil {
		t.Errorf("completion install: %v, %s", err, output)
	}
	output, err := exec.CommandContext(t.Context(), filepath.Join(dir, "kubectl_complete-"+pluginName), "raft", "").Output()
	if err != nil || !strings.Contains(string(output), "transfer-leader") {
		t.Errorf("completion output %q, error %v", output, err)
	}
}

// throughKubectl runs the plugin through kubectl.
func throughKubectl(t *testing.T, bin string) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("not run: no kubectl on PATH; test/e2e covers it")
	}
	cmd := exec.CommandContext(t.Context(), kubectl, "jindo", "version", "--client")
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	output, err := cmd.Output()
	if err != nil || !strings.Contains(string(output), exampleVersion+" ") {
		t.Errorf("kubectl jindo version --client: %q, error %v", output, err)
	}
}

// checkContents checks that an archive has the program and the licence only.
func checkContents(t *testing.T, path string) {
	t.Helper()
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files, err := unpack(path, archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files["LICENSE"].mode != 0o644 || files[host().executable()].mode != 0o755 {
		t.Errorf("the archive has %v", files)
	}
	licence, err := os.ReadFile("../LICENSE")
	if err != nil || !bytes.Equal(files["LICENSE"].content, licence) {
		t.Errorf("LICENSE differs from the project's; error %v", err)
	}
}

// TestArchives checks that both formats hold the given files and nothing of this
// machine.
func TestArchives(t *testing.T) {
	given := []packedFile{{"LICENSE", 0o644, []byte("words")}, {"kubectl-jindo", 0o755, []byte("program")}}
	for _, p := range []platform{{"linux", "amd64"}, {"windows", "amd64"}} {
		t.Run(p.String(), func(t *testing.T) {
			first, err := p.write(given)
			if err != nil {
				t.Fatal(err)
			}
			if second, err := p.write(given); err != nil || !bytes.Equal(first, second) {
				t.Errorf("two writes differ; error %v", err)
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

// unpack reads an archive by its name; owners and times other than the fixed ones
// are errors.
func unpack(name string, archive []byte) (map[string]packedFile, error) {
	if strings.HasSuffix(name, ".zip") {
		return unzip(archive)
	}
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	if !compressed.ModTime.IsZero() || compressed.Name != "" {
		return nil, fmt.Errorf("gzip header with time %v, name %q", compressed.ModTime, compressed.Name)
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
		if header.Uid != 0 || header.Gid != 0 || !header.ModTime.Equal(modTime()) || header.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%s has owner %d:%d, time %v, type %c", header.Name, header.Uid, header.Gid, header.ModTime, header.Typeflag)
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
		if !entry.Modified.Equal(modTime()) {
			return nil, fmt.Errorf("%s has time %v", entry.Name, entry.Modified)
		}
		files[entry.Name] = packedFile{entry.Name, entry.Mode(), content}
	}
	return files, nil
}
