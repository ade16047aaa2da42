// Package assets builds the programs and images that a cluster is made of.
// Builds that take minutes are cached in the user's cache directory, keyed by a
// digest of their inputs.
package assets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"syscall"
)

// Builder builds from the repository at Root.
type Builder struct {
	Root     string
	Progress io.Writer
}

// FindRoot finds the repository from the working directory.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if isFile(filepath.Join(dir, "test", "e2e", "cluster", "go.mod")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("test/e2e/cluster/go.mod is in no directory above: run within the repository")
		}
		dir = parent
	}
}

// kubeFlags sets the version of Kubernetes' programs, which is v0.0.0 otherwise.
const kubeFlags = "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"

// kubePrograms returns the names under which the multi-call program is run.
func kubePrograms() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}
}

// Kube returns a directory with every program of Kubernetes. It builds them if they
// are not cached, which takes about five minutes on two cores.
func (b Builder) Kube(ctx context.Context) (string, error) {
	module := filepath.Join(b.Root, "test", "e2e", "cluster")
	dir, err := b.cached(ctx, cachedProgram{name: "kube", module: module, pkg: "./kube", flags: kubeFlags, takes: "5 minutes"})
	if err != nil {
		return "", err
	}
	for _, name := range kubePrograms() {
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink("kube", link); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return dir, nil
}

// CoreDNS returns the path of coredns.
func (b Builder) CoreDNS(ctx context.Context) (string, error) {
	module := filepath.Join(b.Root, "test", "e2e", "cluster", "coredns")
	dir, err := b.cached(ctx, cachedProgram{name: "coredns", module: module, pkg: ".", flags: "-s -w", takes: "a minute"})
	return filepath.Join(dir, "coredns"), err
}

type cachedProgram struct {
	name, module, pkg, flags, takes string
}

// cached returns the directory of a program. Concurrent callers build it once.
func (b Builder) cached(ctx context.Context, p cachedProgram) (string, error) {
	key, err := p.key(ctx)
	if err != nil {
		return "", fmt.Errorf("read the sources of %s: %w", p.name, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "jindo", p.name, key)
	path := filepath.Join(dir, p.name)
	if isFile(path) {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := Lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(path) {
		return dir, nil
	}
	_, _ = fmt.Fprintf(b.Progress, "building %s into %s (%s without a build cache)\n", p.name, dir, p.takes)
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", p.flags, "-o", path+".partial", p.pkg)
	command.Dir = p.module
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", p.name, err, out)
	}
	return dir, os.Rename(path+".partial", path)
}

// key returns a digest of everything that the program is built from.
func (p cachedProgram) key(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(p.module, p.pkg, "*.go"))
	if err != nil {
		return "", err
	}
	files = append(files, filepath.Join(p.module, "go.mod"), filepath.Join(p.module, "go.sum"))
	sort.Strings(files)
	digest := sha256.New()
	_, _ = fmt.Fprintf(digest, "%s\n%s\n", version, p.flags)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(digest, "%s %d\n", filepath.Base(file), len(raw))
		_, _ = digest.Write(raw)
	}
	return hex.EncodeToString(digest.Sum(nil))[:16], nil
}

// OSSServer builds the OSS protocol server into dir.
func (b Builder) OSSServer(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "ossserver")
	return path, b.build(ctx, b.Root, nil, path, "./test/ossserver/cmd/ossserver")
}

func (b Builder) build(ctx context.Context, dir string, env []string, out, pkg string, flags ...string) error {
	args := append(append([]string{"build", "-buildvcs=false"}, flags...), "-o", out, pkg)
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	if printed, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, printed)
	}
	return nil
}

// Versitygw returns the path of the S3 server: the one that JINDO_VERSITYGW names,
// or one in the cache, which other tests of this machine share.
func (b Builder) Versitygw(ctx context.Context) (string, error) {
	if path := os.Getenv("JINDO_VERSITYGW"); path != "" {
		return path, nil
	}
	raw, err := os.ReadFile(filepath.Join(b.Root, "tools", "versitygw", "go.mod"))
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^\s*(?:require )?github\.com/versity/versitygw (v\S+)`).FindSubmatch(raw)
	if found == nil {
		return "", errors.New("tools/versitygw/go.mod requires no version of versitygw")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "jindo", "bin", "versitygw-"+string(found[1]))
	if isFile(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	unlock, err := Lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(path) {
		return path, nil
	}
	_, _ = fmt.Fprintf(b.Progress, "building versitygw into %s (a minute, once)\n", path)
	if err := b.build(ctx, b.Root, nil, path+".partial", "github.com/versity/versitygw/cmd/versitygw", "-modfile=tools/versitygw/go.mod"); err != nil {
		return "", err
	}
	return path, os.Rename(path+".partial", path)
}

// Lock blocks until it holds the lock of a file, and returns the function that
// releases it.
func Lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// missing returns the system programs that a cluster needs and that are not
// installed.
func missing() []string {
	var names []string
	for _, name := range []string{"containerd", "ctr", "runc", "ip", "nft", "conntrack", "nsenter"} {
		if _, err := exec.LookPath(name); err != nil {
			names = append(names, name)
		}
	}
	if !isFile("/usr/lib/cni/bridge") {
		names = append(names, "/usr/lib/cni/bridge")
	}
	return names
}

// Check returns an error that names what the machine lacks.
func Check() error {
	if runtime.GOOS != "linux" {
		return errors.New("a cluster runs on Linux only")
	}
	if names := missing(); len(names) > 0 {
		return fmt.Errorf("%s not found: run `make deps CLUSTER=1`", strings.Join(names, ", "))
	}
	return nil
}
