package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jindo-io/jindo/test/e2e/cluster/assets"
)

// systemNamespace is where the manifests put their pods.
const systemNamespace = "fluid-system"

// systemPods returns the pods that must be ready for Jindo to be installed.
func systemPods() []string {
	return []string{"daemonset/csi-nodeplugin-fluid", "deployment/dataset-controller", "deployment/jindoruntime-controller", "deployment/jindo-webhook"}
}

const installing = 3 * time.Minute

// release is a state of the sources that nodes have an image of.
type release struct {
	manifests string
	image     string
}

// release returns the release that the arguments of install name.
func (a app) release(args []string) (release, error) {
	switch {
	case len(args) == 0:
		return a.present(), nil
	case len(args) == 1 && args[0] == "earlier":
		return release{manifests: filepath.Join(a.layout.Earlier(), "manifests"), image: assets.EarlierImage}, nil
	}
	return release{}, fmt.Errorf("unknown release %q: write cluster install, or cluster install earlier", args)
}

// present is the release of the working directory.
func (a app) present() release {
	return release{manifests: filepath.Join(a.builder.Root, "manifests"), image: assets.JindoImage}
}

// install applies the manifests of a release, and waits until the pods are ready.
func (a app) install(ctx context.Context, r release) error {
	if _, err := a.running(); err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, installing)
	defer cancel()
	for _, name := range []string{"crds.yaml", "install.yaml"} {
		if err := a.apply(ctx, filepath.Join(r.manifests, name), r.image); err != nil {
			return err
		}
	}
	for _, name := range systemPods() {
		if _, err := a.kubectl(ctx, "--namespace", systemNamespace, "rollout", "status", name); err != nil {
			a.explain()
			return fmt.Errorf("wait for %s: %w", name, err)
		}
	}
	fmt.Printf("Jindo is installed after %s.\n", time.Since(began).Round(time.Second))
	return nil
}

var productImage = regexp.MustCompile(`ghcr\.io/jindo-io/jindo:[\w.-]+`)

func (a app) apply(ctx context.Context, path, image string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("installing Jindo (PRODUCT=0 leaves it out): %w", err)
	}
	raw = productImage.ReplaceAll(raw, []byte(image))
	command := a.command(ctx, "apply", "--server-side", "--force-conflicts", "-f", "-")
	command.Stdin = bytes.NewReader(raw)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("applying %s: %w: %s", path, err, out)
	}
	if filepath.Base(path) != "crds.yaml" {
		return nil
	}
	_, err = a.kubectl(ctx, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	return err
}

func (a app) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, a.layout.Kubectl(), args...)
}

func (a app) kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := a.command(ctx, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

const explaining = 30 * time.Second

// explain prints the state of the pods after a failure.
func (a app) explain() {
	ctx, cancel := context.WithTimeout(context.Background(), explaining)
	defer cancel()
	show := func(args ...string) {
		out, _ := a.command(ctx, append([]string{"--namespace", systemNamespace}, args...)...).CombinedOutput()
		fmt.Fprintf(os.Stderr, "== kubectl -n %s %s\n%s\n", systemNamespace, strings.Join(args, " "), out)
	}
	show("get", "pods", "-o", "wide")
	show("get", "events", "--sort-by=.lastTimestamp")
	names, err := a.kubectl(ctx, "--namespace", systemNamespace, "get", "pods", "-o", "name")
	if err != nil {
		return
	}
	for _, name := range strings.Fields(names) {
		show("logs", name, "--all-containers", "--prefix", "--tail=30")
	}
}
