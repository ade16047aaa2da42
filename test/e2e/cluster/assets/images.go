package assets

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// testImage is an image for tests: one static program of this repository, or the
// files that make writes. To add an image, add a line to testImages.
type testImage struct {
	file, name string
	module     string // with its package, below the repository
	pkg        string
	make       func(dir string) error
	user       string
	entrypoint string
}

func testImages() []testImage {
	return []testImage{
		{file: "pause", name: "registry.k8s.io/pause:3.10", module: "test/e2e/cluster", pkg: "./pause", user: "65535:65535", entrypoint: "/pause"},
		{file: "busybox", name: "docker.io/library/busybox:test", make: busybox},
		{file: "reader", name: "docker.io/jindo-io/reader:dev", pkg: "./test/e2e/reader", user: "65532:65532", entrypoint: "/reader"},
	}
}

// MetricsImage is the name of the image of the metrics server on the nodes.
const MetricsImage = "registry.k8s.io/metrics-server/metrics-server:test"

// MetricsServer writes the archive of the image of the metrics server into dir.
func (b Builder) MetricsServer(ctx context.Context, bin, dir string) error {
	tool, err := b.imageTool(ctx, bin)
	if err != nil {
		return err
	}
	return b.testImage(ctx, tool, dir, testImage{
		file: "metrics-server", name: MetricsImage, user: "65532:65532", entrypoint: "/metrics-server",
		module: "tools/metrics-server", pkg: "sigs.k8s.io/metrics-server/cmd/metrics-server",
	})
}

// imageTool builds the program that writes archives of images, and returns its path.
func (b Builder) imageTool(ctx context.Context, bin string) (string, error) {
	tool := filepath.Join(bin, "image")
	return tool, b.build(ctx, filepath.Join(b.Root, "tools", "image"), nil, tool, ".")
}

// TestImages writes the archives of every image that tests use into dir.
func (b Builder) TestImages(ctx context.Context, bin, dir string) error {
	tool, err := b.imageTool(ctx, bin)
	if err != nil {
		return err
	}
	for _, image := range testImages() {
		if err := b.testImage(ctx, tool, dir, image); err != nil {
			return fmt.Errorf("create image %s: %w", image.name, err)
		}
	}
	return nil
}

func (b Builder) testImage(ctx context.Context, tool, dir string, i testImage) error {
	root, err := os.MkdirTemp(dir, ".root-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(root) }()
	if i.make != nil {
		err = i.make(root)
	} else {
		err = b.build(ctx, filepath.Join(b.Root, i.module), []string{"CGO_ENABLED=0"}, filepath.Join(root, i.file), i.pkg, "-trimpath", "-ldflags=-s -w")
	}
	if err != nil {
		return err
	}
	args := []string{"-out", filepath.Join(dir, i.file+".tar"), "-name", i.name, "-root", "linux/" + runtime.GOARCH + "=" + root, "-base", "-env", "PATH=/bin"}
	if i.user != "" {
		args = append(args, "-user", i.user)
	}
	if i.entrypoint != "" {
		args = append(args, "-entrypoint", i.entrypoint)
	}
	if out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// busybox copies the system's static busybox, with a link for each applet.
func busybox(root string) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return errors.New("busybox not found: run `make deps CLUSTER=1`")
	}
	if err := static(path); err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	bin := filepath.Join(root, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), raw, 0o755); err != nil {
		return err
	}
	names, err := exec.Command(path, "--list").Output()
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(names)) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

func static(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if libraries, err := file.ImportedLibraries(); err == nil && len(libraries) > 0 {
		return fmt.Errorf("%s is not static: install busybox-static", path)
	}
	return nil
}

// Names of our own image on the nodes: that of the working directory, and of an
// earlier commit.
const (
	JindoImage   = "docker.io/jindo-io/jindo:dev"
	EarlierImage = "docker.io/jindo-io/jindo:earlier"
)

// Jindo writes the archive of our own image into dir.
func (b Builder) Jindo(ctx context.Context, dir string) error {
	return b.image(ctx, b.Root, JindoImage, dir)
}

// Earlier extracts a commit into an empty directory, and writes the archive of its
// image into dir.
func (b Builder) Earlier(ctx context.Context, commit, source, dir string) error {
	archive := filepath.Join(source, ".tar")
	for _, words := range [][]string{
		{"git", "-C", b.Root, "archive", "--output", archive, commit},
		{"tar", "--extract", "--file", archive, "--directory", source},
	} {
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("extract commit %s: %w: %s", commit, err, bytes.TrimSpace(out))
		}
	}
	return b.image(ctx, source, EarlierImage, dir)
}

// image writes the archive of an image of a source tree into dir.
func (b Builder) image(ctx context.Context, source, name, dir string) error {
	command := exec.CommandContext(ctx, filepath.Join(source, "hack", "images"), "--arch", runtime.GOARCH, "--name", name, "--out", dir, "--fast")
	command.Dir = source
	// A constant version avoids linking unchanged programs again.
	command.Env = append(os.Environ(), "VERSION=dev")
	command.Stdout, command.Stderr = b.Progress, b.Progress
	if err := command.Run(); err != nil {
		return fmt.Errorf("create our own image: %w", err)
	}
	return nil
}
