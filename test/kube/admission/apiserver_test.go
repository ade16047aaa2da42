package admission_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jindo-io/jindo/manifests"
	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/admission"
	"github.com/jindo-io/jindo/pkg/kube/names"
	testserver "github.com/jindo-io/jindo/test/apiserver"
	"github.com/jindo-io/jindo/test/ports"
)

// waitTimeout is the time limit of waits. It is long, because no test depends on timing.
const waitTimeout = time.Minute

type apiserver struct {
	client.Client
	config *rest.Config
	scheme *runtime.Scheme
}

var shared = testserver.Share(newServer)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(shared.Run(m))
}

func start(t *testing.T) *apiserver {
	t.Helper()
	return shared.Get(t)
}

func newServer(ends *testserver.Ends) (*apiserver, error) {
	config, err := ends.Start(&envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "manifests", "crd")},
		ErrorIfCRDPathMissing: true,
	})
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	s := &apiserver{config: config, scheme: runtime.NewScheme()}
	if err := errors.Join(clientgoscheme.AddToScheme(s.scheme), v1alpha1.AddToScheme(s.scheme)); err != nil {
		return nil, err
	}
	if s.Client, err = client.New(config, client.Options{Scheme: s.scheme}); err != nil {
		return nil, err
	}
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names.SystemNamespace}}
	return s, s.Create(context.Background(), system)
}

func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(waitTimeout)
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

// install applies the webhook configurations and the policy of install.yaml until the
// end of the test. Requests are sent to address.
func (s *apiserver) install(t *testing.T, address string) {
	t.Helper()
	decoder := serializer.NewCodecFactory(s.scheme).UniversalDeserializer()
	direct := func(config *admissionv1.WebhookClientConfig) {
		url := "https://localhost:" + port(t, address) + *config.Service.Path
		config.URL, config.Service = &url, nil
	}
	for text := range strings.SplitSeq(manifests.Install, "\n---\n") {
		object, _, err := decoder.Decode([]byte(text), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch o := object.(type) {
		case *admissionv1.MutatingWebhookConfiguration:
			for i := range o.Webhooks {
				direct(&o.Webhooks[i].ClientConfig)
			}
			s.make(t, o)
		case *admissionv1.ValidatingWebhookConfiguration:
			direct(&o.Webhooks[0].ClientConfig)
			s.make(t, o)
		case *admissionv1.ValidatingAdmissionPolicy:
			if o.Name == names.SidecarPolicy {
				s.make(t, o)
			}
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			if o.Name == names.SidecarPolicy {
				s.make(t, o)
			}
		}
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *apiserver) make(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Delete(context.WithoutCancel(t.Context()), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
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

// replica is a replica of the webhook.
type replica struct {
	address, health string
	end             func()
}

// free returns an address at which nothing listens until the end of the test.
func free(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.Reserve(t)))
}

// replica starts a replica, which is stopped after the test.
func (s *apiserver) replica(t *testing.T, change func(*admission.Options)) *replica {
	t.Helper()
	r := &replica{address: free(t), health: free(t)}
	o := admission.Options{
		Listen: r.address, HealthListen: r.health, Hosts: []string{"localhost"}, Image: "jindo:test", PullPolicy: "IfNotPresent",
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- admission.Run(ctx, s.config, o) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the webhook returned %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

// ready returns the response of /readyz.
func (r *replica) ready(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.health+"/readyz", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("not ready: %s", text)
	}
	return string(text), err
}

func (r *replica) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "the webhook is ready", func() error { _, err := r.ready(t.Context()); return err })
}

// up installs everything with one replica, and waits until the API server calls it.
func (s *apiserver) up(t *testing.T) *replica {
	t.Helper()
	r := s.replica(t, nil)
	s.install(t, r.address)
	r.waitReady(t)
	s.waitCalled(t)
	return r
}

// waitCalled waits until the API server trusts the webhook and enforces the policy.
func (s *apiserver) waitCalled(t *testing.T) {
	t.Helper()
	namespace := s.namespace(t)
	s.dataset(t, namespace)
	eventually(t, "the API server calls the webhook", func() error {
		return s.Create(t.Context(), pod(namespace, "imagenet"), client.DryRunAll)
	})
	eventually(t, "the API server enforces the policy", func() error {
		p := pod(namespace, "imagenet")
		p.Labels[names.LabelInjectAlias] = "true"
		return s.Create(t.Context(), p, client.DryRunAll)
	})
}

// dataset creates the Dataset imagenet, which no runtime serves.
func (s *apiserver) dataset(t *testing.T, namespace string) {
	t.Helper()
	d := &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "imagenet"}}
	d.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "local:///data", Name: "a"}}
	if err := s.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// pod returns a pod that requests a sidecar.
func pod(namespace, claim string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "train-", Labels: map[string]string{names.LabelInject: "true"}}}
	p.Spec.Containers = []corev1.Container{{Name: "train", Image: "train:1", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}}
	source := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: source}}
	return p
}

// sidecars returns the number of sidecars of a pod.
func sidecars(p *corev1.Pod) int {
	count := 0
	for _, c := range p.Spec.InitContainers {
		if c.Name == names.SidecarContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			count++
		}
	}
	return count
}

// between distributes connections to several replicas in turn.
func between(t *testing.T, replicas ...*replica) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var turn atomic.Int32
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			r := replicas[int(turn.Add(1))%len(replicas)]
			to, err := (&net.Dialer{}).Dial("tcp", r.address)
			if err != nil {
				_ = from.Close()
				continue
			}
			pipe := func(a, b net.Conn) { _, _ = io.Copy(a, b); _ = a.Close(); _ = b.Close() }
			go pipe(from, to)
			go pipe(to, from)
		}
	}()
	return listener.Addr().String()
}
