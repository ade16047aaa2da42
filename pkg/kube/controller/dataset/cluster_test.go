package dataset_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataset"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/test/apiserver"
)

// testTimeout bounds waits.
const testTimeout = time.Minute

// cluster is an API server with the product's CRDs and RBAC rules, the Dataset
// controller with its own account, and a binder of volumes. Tests use admin; runtimes
// has the rights of the JindoRuntime controller.
type cluster struct {
	admin, runtimes client.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	apiserver.Need(t)
	manifests := filepath.Join("..", "..", "..", "..", "manifests")
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(manifests, "crds.yaml")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		t.Fatalf("start etcd and kube-apiserver: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stop kube-apiserver: %v", err)
		}
	})
	as := func(name string) *rest.Config {
		user := envtest.User{Name: name, Groups: []string{"system:authenticated"}}
		if name == "admin" {
			user.Groups = []string{"system:masters"}
		}
		added, err := env.AddUser(user, config)
		if err != nil {
			t.Fatalf("add user %s: %v", name, err)
		}
		return added.Config()
	}
	c := &cluster{admin: newClient(t, as("admin")), runtimes: newClient(t, as("system:serviceaccount:fluid-system:jindoruntime-controller"))}
	c.createRBAC(t, filepath.Join(manifests, "install.yaml"))
	c.run(t, as("system:serviceaccount:fluid-system:dataset-controller"))
	return c
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	scheme, err := manager.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// createRBAC creates the system namespace and the RBAC objects of the controllers.
func (c *cluster) createRBAC(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(raw), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		switch object.GetKind() {
		case "Namespace", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			if err := c.admin.Create(t.Context(), object); err != nil {
				t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
			}
		}
	}
}

// run runs the controller and the binder until the test ends.
func (c *cluster) run(t *testing.T, config *rest.Config) {
	t.Helper()
	mgr, err := manager.NewManager(config, "dataset.data.fluid.io", manager.Options{Namespace: "fluid-system"})
	if err != nil {
		t.Fatal(err)
	}
	r := &dataset.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("dataset-controller"),
		SystemNamespace: "fluid-system", ProtectionTimeout: time.Second,
	}
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- mgr.Start(ctx) }()
	go func() { ended <- c.bind(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
}

// bind binds claims to volumes, as Kubernetes does.
func (c *cluster) bind(ctx context.Context) error {
	for ctx.Err() == nil {
		claims := &corev1.PersistentVolumeClaimList{}
		if err := c.admin.List(ctx, claims); err == nil {
			for i := range claims.Items {
				c.bindOne(ctx, &claims.Items[i])
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// bindOne ignores errors such as conflicts: bind repeats it.
func (c *cluster) bindOne(ctx context.Context, pvc *corev1.PersistentVolumeClaim) {
	pv := &corev1.PersistentVolume{}
	if c.admin.Get(ctx, types.NamespacedName{Name: pvc.Spec.VolumeName}, pv) != nil || pv.DeletionTimestamp != nil || pv.Spec.ClaimRef == nil {
		pvc.Status.Phase = corev1.ClaimLost
		_ = c.admin.Status().Update(ctx, pvc)
		return
	}
	if ref := pv.Spec.ClaimRef; ref.UID == "" {
		ref.UID, ref.ResourceVersion = pvc.UID, pvc.ResourceVersion
		_ = c.admin.Update(ctx, pv)
	} else if ref.UID == pvc.UID && pvc.Status.Phase != corev1.ClaimBound {
		pvc.Status.Phase = corev1.ClaimBound
		_ = c.admin.Status().Update(ctx, pvc)
	}
}

// testNamespace is the namespace of a test.
type testNamespace struct {
	*cluster
	t    *testing.T
	name string
}

func (c *cluster) newNamespace(t *testing.T) *testNamespace {
	t.Helper()
	s := &testNamespace{c, t, "t-" + strings.ToLower(strings.ReplaceAll(t.Name()[strings.LastIndex(t.Name(), "/")+1:], "_", "-"))}
	s.must(c.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}}))
	return s
}

func (s *testNamespace) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *testNamespace) create(object client.Object) {
	s.t.Helper()
	object.SetNamespace(s.name)
	object.SetUID("")
	object.SetCreationTimestamp(metav1.Time{})
	s.must(s.admin.Create(s.t.Context(), object))
}

func (s *testNamespace) get(name string, object client.Object) bool {
	s.t.Helper()
	err := s.admin.Get(s.t.Context(), types.NamespacedName{Namespace: s.name, Name: name}, object)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *testNamespace) getVolume(pv *corev1.PersistentVolume) bool {
	s.t.Helper()
	err := s.admin.Get(s.t.Context(), types.NamespacedName{Name: s.name + "-hbase"}, pv)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

// eventually waits until check returns "".
func (s *testNamespace) eventually(check func() string) {
	s.t.Helper()
	deadline := time.Now().Add(testTimeout)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal(problem)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// waitForDataset waits for a phase and a condition TYPE=STATUS whose message has
// text.
func (s *testNamespace) waitForDataset(phase v1alpha1.DatasetPhase, condition, text string) {
	s.t.Helper()
	s.eventually(func() string {
		d := &v1alpha1.Dataset{}
		if !s.get("hbase", d) {
			return "Dataset not found"
		}
		for _, c := range d.Status.Conditions {
			if d.Status.Phase == phase && string(c.Type)+"="+string(c.Status) == condition && strings.Contains(c.Message, text) {
				return ""
			}
		}
		return fmt.Sprintf("phase %s, conditions %+v", d.Status.Phase, d.Status.Conditions)
	})
}

// createPair creates the seed's Dataset and runtime and makes the runtime ready.
func (s *testNamespace) createPair() {
	s.t.Helper()
	s.create(newDataset())
	r := newRuntime("hadoop", "hbase", 0)
	s.create(r)
	s.waitForDataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", "JindoRuntime hadoop is not ready")
	s.makeReady()
	s.waitForDataset(v1alpha1.BoundDatasetPhase, "Ready=True", "bound to JindoRuntime hadoop")
}

func (s *testNamespace) makeReady() {
	s.t.Helper()
	s.eventually(func() string {
		r := &v1alpha1.JindoRuntime{}
		s.get("hadoop", r)
		r.Status.ScopeName = s.name + "-hadoop"
		r.Status.MasterPhase, r.Status.WorkerPhase, r.Status.FusePhase = v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady
		r.Status.Mounts = []v1alpha1.Mount{{Name: "hadoop", Path: "/hadoop", MountPoint: "oss://bucket/data/"}}
		if err := s.admin.Status().Update(s.t.Context(), r); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (s *testNamespace) waitForRemoval() {
	s.t.Helper()
	s.eventually(func() string {
		if s.get("hbase", &corev1.PersistentVolumeClaim{}) || s.getVolume(&corev1.PersistentVolume{}) {
			return "the volume still exists"
		}
		return ""
	})
}
