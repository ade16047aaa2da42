package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	// readerImage runs test/e2e/reader, toolImage has a shell.
	readerImage = "docker.io/jindo-io/reader:dev"
	toolImage   = "docker.io/library/busybox:test"
	// timeout of a wait, for slow machines.
	timeout = 4 * time.Minute
)

// cluster is the Kubernetes cluster of the tests. They read with a typed client, and
// change with kubectl, as users do.
type cluster struct {
	client.Client
	kubectlPath, kubeconfig string
	// env has the addresses of the object stores, as pods reach them.
	env map[string]string
}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// connect connects to the cluster of KUBECONFIG, or to the one of make cluster-up.
func connect(t *testing.T) *cluster {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(root, ".cluster")
	c := &cluster{kubeconfig: os.Getenv("KUBECONFIG"), kubectlPath: filepath.Join(own, "kubectl")}
	if c.kubeconfig == "" {
		c.kubeconfig = filepath.Join(own, "kubeconfig")
	}
	if _, err := os.Stat(c.kubectlPath); err != nil {
		if c.kubectlPath, err = exec.LookPath("kubectl"); err != nil {
			t.Fatal("kubectl not found: run make cluster-up, or install it")
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatalf("no cluster: run make cluster-up, or set KUBECONFIG: %v", err)
	}
	config.Timeout = 30 * time.Second
	config.QPS, config.Burst = 50, 100
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	if c.Client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	if c.env, err = readEnv(filepath.Join(own, "env")); err != nil {
		t.Fatal(err)
	}
	return c
}

// readEnv reads NAME=value lines; the environment takes precedence.
func readEnv(path string) (map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	env := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		name, value, found := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if found && !strings.HasPrefix(name, "#") {
			env[name] = strings.Trim(value, `"'`)
		}
	}
	for name := range env {
		if value, set := os.LookupEnv(name); set {
			env[name] = value
		}
	}
	return env, lines.Err()
}

// run runs kubectl and returns its output.
func (c *cluster) run(ctx context.Context, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, c.kubectlPath, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	command.Stdin = strings.NewReader(stdin)
	var out, failed bytes.Buffer
	command.Stdout, command.Stderr = &out, &failed
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(failed.String()))
	}
	return out.String(), nil
}

// kubectl runs kubectl, and ends the test if it fails.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.run(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// create creates the objects of a manifest with kubectl.
func (c *cluster) create(t *testing.T, namespace, manifest string) string {
	t.Helper()
	out, err := c.run(t.Context(), manifest, "create", "-n", namespace, "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until check returns nil, and ends the test with its last error
// after the timeout.
func eventually(t *testing.T, what string, check func(ctx context.Context) error) {
	t.Helper()
	if err := wait(t.Context(), timeout, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wait(ctx context.Context, limit time.Duration, check func(ctx context.Context) error) error {
	deadline := time.Now().Add(limit)
	for {
		asking, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := check(asking)
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// namespace creates a namespace that is deleted after the test. Its content is
// printed if the test fails.
func (c *cluster) namespace(t *testing.T, name string) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "e2e-" + name}}
	c.forget(t, namespace.Name)
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.forget(t, namespace.Name) })
	c.diagnoseOnFailure(t, namespace.Name) // cleanups run last in, first out: before its deletion
	eventually(t, "the service account of the namespace exists", func(ctx context.Context) error {
		return c.Get(ctx, client.ObjectKey{Namespace: namespace.Name, Name: "default"}, &corev1.ServiceAccount{})
	})
	return namespace.Name
}

// forget deletes a namespace and waits until it no longer exists.
func (c *cluster) forget(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout+time.Minute)
	defer cancel()
	err := wait(ctx, timeout, func(ctx context.Context) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := c.Delete(ctx, namespace); client.IgnoreNotFound(err) != nil {
			return err
		} else if err != nil {
			return nil
		}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, namespace); err != nil {
			return client.IgnoreNotFound(err)
		}
		return fmt.Errorf("%s: %v", namespace.Status.Phase, namespace.Status.Conditions)
	})
	if err != nil {
		t.Errorf("namespace %s does not go: %v", name, err)
	}
}

// pods returns the pods of a namespace with a name prefix, ordered by name.
func (c *cluster) pods(ctx context.Context, namespace, prefix string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if strings.HasPrefix(pod.Name, prefix) {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, nil
}

// ready returns an error that names what a pod lacks, or nil.
func ready(pod *corev1.Pod) error {
	if pod.DeletionTimestamp != nil {
		return fmt.Errorf("pod %s is going", pod.Name)
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	var reasons []string
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil {
			reasons = append(reasons, s.Name+": "+w.Reason+" "+w.Message)
		}
	}
	return fmt.Errorf("pod %s is %s and not ready: %s", pod.Name, pod.Status.Phase, strings.Join(reasons, "; "))
}

// readyPods waits for exactly count ready pods with the prefix.
func (c *cluster) readyPods(t *testing.T, namespace, prefix string, count int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, fmt.Sprintf("%d pods %s* are ready", count, prefix), func(ctx context.Context) error {
		var err error
		if pods, err = c.pods(ctx, namespace, prefix); err != nil {
			return err
		}
		if len(pods) != count {
			return fmt.Errorf("there are %d", len(pods))
		}
		for i := range pods {
			if err := ready(&pods[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return pods
}

// runtimeReady waits until every phase is Ready.
func (c *cluster) runtimeReady(t *testing.T, namespace, name string) *v1alpha1.JindoRuntime {
	t.Helper()
	r := &v1alpha1.JindoRuntime{}
	eventually(t, "JindoRuntime "+name+" is Ready", func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, r); err != nil {
			return err
		}
		s := r.Status
		if s.MasterPhase != v1alpha1.RuntimePhaseReady || s.WorkerPhase != v1alpha1.RuntimePhaseReady || s.FusePhase != v1alpha1.RuntimePhaseReady {
			return fmt.Errorf("masters %q (%s), workers %q (%s), fuse %q (%s), conditions %v", s.MasterPhase, s.MasterReason, s.WorkerPhase, s.WorkerReason, s.FusePhase, s.FuseReason, s.Conditions)
		}
		return nil
	})
	return r
}

// datasetPhase waits until a Dataset has a phase.
func (c *cluster) datasetPhase(t *testing.T, namespace, name string, phase v1alpha1.DatasetPhase) *v1alpha1.Dataset {
	t.Helper()
	d := &v1alpha1.Dataset{}
	eventually(t, fmt.Sprintf("Dataset %s is %s", name, phase), func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, d); err != nil {
			return err
		}
		if d.Status.Phase != phase {
			return fmt.Errorf("phase %q, conditions %v", d.Status.Phase, d.Status.Conditions)
		}
		return nil
	})
	return d
}

// diagnoseOnFailure prints the objects of a namespace and of the system if the test
// fails.
func (c *cluster) diagnoseOnFailure(t *testing.T, namespace string) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		show := func(args ...string) {
			out, err := c.run(ctx, "", args...)
			t.Logf("$ kubectl %s\n%s%s", strings.Join(args, " "), out, errText(err))
		}
		show("get", "pods,pvc,datasets,jindoruntimes", "-n", namespace, "-o", "wide")
		show("get", "datasets,jindoruntimes", "-n", namespace, "-o", "yaml")
		show("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
		for _, ns := range []string{namespace, names.SystemNamespace} {
			pods, err := c.pods(ctx, ns, "")
			if err != nil {
				t.Log(err)
				return
			}
			for _, pod := range pods {
				show("logs", "-n", ns, pod.Name, "--all-containers", "--tail=30")
			}
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return "error: " + err.Error()
}
