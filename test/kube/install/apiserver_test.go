package install_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	testserver "github.com/jindo-io/jindo/test/apiserver"
)

// testTimeout bounds waits; no test asserts it.
const testTimeout = time.Minute

// apiserver is a kube-apiserver with the manifests installed and no controllers.
type apiserver struct {
	client.Client
	config *rest.Config
	kubeconfig,
	kubectlPath string
	// versions are the resource versions of all objects after each installation.
	versions [2]string
}

var shared = testserver.Share(install)

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

func start(t *testing.T) *apiserver {
	t.Helper()
	return shared.Get(t)
}

// install starts a kube-apiserver and applies crds.yaml and install.yaml twice with
// kubectl, as users do.
func install(ends *testserver.Ends) (*apiserver, error) {
	env := &envtest.Environment{}
	config, err := ends.Start(env)
	if err != nil {
		return nil, err
	}
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, config)
	if err != nil {
		return nil, fmt.Errorf("add administrator: %w", err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return nil, fmt.Errorf("write kubeconfig: %w", err)
	}
	s := &apiserver{config: user.Config(), kubectlPath: filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")}
	dir, err := os.MkdirTemp("", "install-test-")
	if err != nil {
		return nil, err
	}
	ends.Add(func() error { return os.RemoveAll(dir) })
	s.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(s.kubeconfig, kubeconfig, 0o600); err != nil {
		return nil, err
	}
	if s.Client, err = client.New(s.config, client.Options{}); err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	if err := v1alpha1.AddToScheme(s.Scheme()); err != nil {
		return nil, err
	}
	for round := range s.versions {
		for _, file := range []string{"crds.yaml", "install.yaml"} {
			if err := s.apply(round, filepath.Join("..", "..", "..", "manifests", file)); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func (s *apiserver) apply(round int, file string) error {
	if _, err := s.kubectl("", "apply", "-f", file); err != nil {
		return fmt.Errorf("apply %s: %w", file, err)
	}
	if filepath.Base(file) == "crds.yaml" {
		if _, err := s.kubectl("", "wait", "--for=condition=Established", "--timeout=60s", "-f", file); err != nil {
			return fmt.Errorf("wait for CRDs: %w", err)
		}
	}
	const version = `{range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`
	out, err := s.kubectl("", "get", "-f", file, "-o", "jsonpath="+version)
	if err != nil {
		return fmt.Errorf("get objects of %s: %w", file, err)
	}
	s.versions[round] += out
	return nil
}

// kubectl runs kubectl and returns its output; an error contains its stderr.
func (s *apiserver) kubectl(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.kubectlPath, append([]string{"--kubeconfig", s.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), nil
}

// namespace creates a namespace for a test.
func (s *apiserver) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := s.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// object returns an object with the given spec, in YAML.
func object(t *testing.T, kind, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	text := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", v1alpha1.APIVersion, kind, name, namespace, spec)
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatalf("parse manifest: %v\n%s", err, text)
	}
	return object
}

// eventually waits until holds returns nil.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
