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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataset"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/pkg/kube/credentials"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/teardown"
	"github.com/jindo-io/jindo/pkg/plan"
)

// patience of waits.
const patience = time.Minute

// cluster is an API server with the product's kinds and rights, the controller
// of Datasets with its own account, and nothing else of Kubernetes but a binder
// of volumes. Who is admin is the test; who is runtimes has the rights of the
// controller of JindoRuntimes.
type cluster struct {
	admin, runtimes client.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make kube-test`, or set it to the directory that `make kube-assets` prints")
	}
	manifests := filepath.Join("..", "..", "..", "..", "manifests")
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(manifests, "crds.yaml")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		t.Fatalf("starting etcd and kube-apiserver: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stopping the kube-apiserver: %v", err)
		}
	})
	as := func(name string) *rest.Config {
		user := envtest.User{Name: name, Groups: []string{"system:authenticated"}}
		if name == "admin" {
			user.Groups = []string{"system:masters"}
		}
		added, err := env.AddUser(user, config)
		if err != nil {
			t.Fatalf("adding user %s: %v", name, err)
		}
		return added.Config()
	}
	c := &cluster{admin: newClient(t, as("admin")), runtimes: newClient(t, as("system:serviceaccount:fluid-system:jindoruntime-controller"))}
	c.rights(t, filepath.Join(manifests, "install.yaml"))
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

// rights makes the namespace and what gives the controllers their rights.
func (c *cluster) rights(t *testing.T, file string) {
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

// run starts the controller and the binder until the test ends.
func (c *cluster) run(t *testing.T, config *rest.Config) {
	t.Helper()
	mgr, err := manager.Bare(config, "dataset.data.fluid.io", manager.Options{Namespace: "fluid-system"})
	if err != nil {
		t.Fatal(err)
	}
	r := &dataset.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("dataset-controller"),
		SystemNamespace: "fluid-system", Patience: time.Second,
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
				t.Errorf("running: %v", err)
			}
		}
	})
}

// bind binds claims to volumes as Kubernetes does.
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

// bindOne does nothing when somebody was faster: the next turn does it.
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

// space is one test's namespace.
type space struct {
	*cluster
	t    *testing.T
	name string
}

func (c *cluster) space(t *testing.T) *space {
	t.Helper()
	s := &space{c, t, "t-" + strings.ToLower(strings.ReplaceAll(t.Name()[strings.LastIndex(t.Name(), "/")+1:], "_", "-"))}
	s.must(c.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}}))
	return s
}

func (s *space) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *space) create(object client.Object) {
	s.t.Helper()
	object.SetNamespace(s.name)
	object.SetUID("")
	object.SetCreationTimestamp(metav1.Time{})
	s.must(s.admin.Create(s.t.Context(), object))
}

func (s *space) get(name string, object client.Object) bool {
	s.t.Helper()
	err := s.admin.Get(s.t.Context(), types.NamespacedName{Namespace: s.name, Name: name}, object)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *space) volumeThere(pv *corev1.PersistentVolume) bool {
	s.t.Helper()
	err := s.admin.Get(s.t.Context(), types.NamespacedName{Name: s.name + "-hbase"}, pv)
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	return err == nil
}

// eventually waits for a check that answers nothing more.
func (s *space) eventually(check func() string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		why := check()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal(why)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// dataset waits for a phase and a condition TYPE=STATUS with a text in it.
func (s *space) dataset(phase v1alpha1.DatasetPhase, condition, text string) {
	s.t.Helper()
	s.eventually(func() string {
		d := &v1alpha1.Dataset{}
		if !s.get("hbase", d) {
			return "there is no Dataset"
		}
		for _, c := range d.Status.Conditions {
			if d.Status.Phase == phase && string(c.Type)+"="+string(c.Status) == condition && strings.Contains(c.Message, text) {
				return ""
			}
		}
		return fmt.Sprintf("phase %s, conditions %+v", d.Status.Phase, d.Status.Conditions)
	})
}

// pair makes the seed's pair and lets its runtime serve.
func (s *space) pair() {
	s.t.Helper()
	s.create(newDataset())
	r := newRuntime("hadoop", "hbase", 0)
	s.create(r)
	s.dataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", "JindoRuntime hadoop is not ready")
	s.serve()
	s.dataset(v1alpha1.BoundDatasetPhase, "Ready=True", "JindoRuntime hadoop serves it")
}

func (s *space) serve() {
	s.t.Helper()
	s.eventually(func() string {
		r := &v1alpha1.JindoRuntime{}
		s.get("hadoop", r)
		r.Status.MasterPhase, r.Status.WorkerPhase, r.Status.FusePhase = v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady, v1alpha1.RuntimePhaseReady
		r.Status.Mounts = []v1alpha1.Mount{{Name: "hadoop", Path: "/hadoop", MountPoint: "oss://bucket/data/"}}
		if err := s.admin.Status().Update(s.t.Context(), r); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (s *space) nothingLeft() {
	s.t.Helper()
	s.eventually(func() string {
		if s.get("hbase", &corev1.PersistentVolumeClaim{}) || s.volumeThere(&corev1.PersistentVolume{}) {
			return "the volume is there"
		}
		return ""
	})
}

func TestOnAPIServer(t *testing.T) {
	c := startCluster(t)
	for name, test := range map[string]func(*space){
		"Binding":       testBinding,
		"Volumes":       testVolumesComeBack,
		"LostStatus":    testLostStatus,
		"DatasetFirst":  testDatasetFirst,
		"RuntimeFirst":  testRuntimeFirst,
		"Credentials":   testCredentials,
		"Unbound":       testUnbound,
		"ManyAtOnce":    testManyAtOnce,
		"SweepOnServer": testSweep,
	} {
		t.Run(name, func(t *testing.T) { test(c.space(t)) })
	}
}

func testBinding(s *space) {
	s.pair()
	versions := func() string {
		d, pvc, pv := &v1alpha1.Dataset{}, &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
		s.get("hbase", d)
		s.get("hbase", pvc)
		s.volumeThere(pv)
		return strings.Join([]string{d.ResourceVersion, pvc.ResourceVersion, pv.ResourceVersion}, " ")
	}
	before := versions()
	for i := range 5 { // whatever happens to the runtime, nothing is written
		s.eventually(func() string {
			r := &v1alpha1.JindoRuntime{}
			s.get("hadoop", r)
			r.Annotations["poked"] = fmt.Sprint(i)
			if err := s.admin.Update(s.t.Context(), r); err != nil {
				return err.Error()
			}
			return ""
		})
		time.Sleep(200 * time.Millisecond)
	}
	if after := versions(); after != before {
		s.t.Errorf("versions %s became %s", before, after)
	}
}

// testVolumesComeBack: claim or volume are deleted by hand.
func testVolumesComeBack(s *space) {
	s.pair()
	pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	for _, object := range []client.Object{pvc, pv} {
		s.eventually(func() string {
			s.get("hbase", pvc)
			s.volumeThere(pv)
			object.SetFinalizers(nil)
			if err := s.admin.Update(s.t.Context(), object); err != nil {
				return err.Error()
			}
			return ""
		})
		uid := object.GetUID()
		s.must(s.admin.Delete(s.t.Context(), object))
		s.eventually(func() string {
			if !s.get("hbase", pvc) || !s.volumeThere(pv) || object.GetUID() == uid {
				return "it is not made again"
			}
			if pvc.Status.Phase != corev1.ClaimBound || pv.Spec.ClaimRef.UID != pvc.UID {
				return fmt.Sprintf("claim %s is %s, volume is for %s", pvc.UID, pvc.Status.Phase, pv.Spec.ClaimRef.UID)
			}
			return ""
		})
		s.dataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
	}
}

func testLostStatus(s *space) {
	s.pair()
	s.eventually(func() string {
		d := &v1alpha1.Dataset{}
		s.get("hbase", d)
		d.Status = v1alpha1.DatasetStatus{Conditions: []v1alpha1.DatasetCondition{}}
		if err := s.admin.Status().Update(s.t.Context(), d); err != nil {
			return err.Error()
		}
		return ""
	})
	s.dataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
}

func (s *space) reader() *corev1.Pod {
	s.t.Helper()
	p := pod("reader", "hbase", "")
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	s.create(p)
	return p
}

func (s *space) removePod(p *corev1.Pod) {
	s.t.Helper()
	s.must(s.admin.Delete(s.t.Context(), p, client.GracePeriodSeconds(0)))
}

func testDatasetFirst(s *space) {
	s.pair()
	p := s.reader()
	s.must(s.admin.Delete(s.t.Context(), &v1alpha1.Dataset{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "hbase"}}))
	s.dataset(v1alpha1.BoundDatasetPhase, "DeletionBlocked=True", "pod reader mounts PersistentVolumeClaim hbase")
	s.eventually(func() string {
		list := &corev1.EventList{}
		s.must(s.admin.List(s.t.Context(), list, client.InNamespace(s.name)))
		for _, e := range list.Items {
			if e.Reason == "PodsMountIt" {
				return ""
			}
		}
		return "no event names the pod"
	})
	if !s.get("hbase", &corev1.PersistentVolumeClaim{}) {
		s.t.Error("the claim is gone")
	}
	s.removePod(p)
	s.nothingLeft()
	s.eventually(func() string {
		if s.get("hbase", &v1alpha1.Dataset{}) {
			return "the Dataset is there"
		}
		return ""
	})
}

func (s *space) deps() teardown.Deps {
	return teardown.Deps{
		Client: s.runtimes, Live: s.runtimes, SystemNamespace: "fluid-system", Image: "jindo:test",
		Recorder: events.NewFakeRecorder(100), Patience: time.Second,
	}
}

func testRuntimeFirst(s *space) {
	s.pair()
	p := s.reader()
	r := &v1alpha1.JindoRuntime{}
	s.get("hadoop", r)
	s.must(s.admin.Delete(s.t.Context(), r))
	s.get("hadoop", r)
	result, err := teardown.Runtime(s.t.Context(), s.deps(), r)
	if err != nil || !strings.Contains(result.Blocked, "pod reader mounts PersistentVolumeClaim hbase") {
		s.t.Fatalf("got %+v, %v", result, err)
	}
	s.dataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
	s.removePod(p)
	s.eventually(func() string {
		result, err := teardown.Runtime(s.t.Context(), s.deps(), r)
		if err != nil {
			s.t.Fatal(err)
		}
		if !result.Done {
			return fmt.Sprintf("%+v", result)
		}
		return ""
	})
	s.dataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", "is being deleted")
	s.nothingLeft()
	s.eventually(func() string {
		s.get("hadoop", r)
		r.Finalizers = nil
		if err := s.admin.Update(s.t.Context(), r); err != nil {
			return err.Error()
		}
		return ""
	})
	s.dataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", `create a JindoRuntime "hbase"`)
	s.nothingLeft()
}

// testCredentials: a Secret is missing, is made, and changes.
func testCredentials(s *space) {
	r := newRuntime("hadoop", "hbase", 0)
	s.create(r)
	p := &plan.Plan{Credentials: []plan.Credentials{{SecretRef: "hadoop", Refs: []plan.SecretKeyRef{{Option: "fs.oss.accessKeyId", Name: "keys", Key: "id"}}}}}
	sync := func() credentials.Result {
		result, err := credentials.Sync(s.t.Context(), s.runtimes, s.runtimes, r, p)
		s.must(err)
		return result
	}
	if result := sync(); len(result.Problems) != 1 {
		s.t.Errorf("got %+v", result)
	}
	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys"}, StringData: map[string]string{"id": "one"}}
	s.create(keys)
	for i, value := range []string{"one", "two"} {
		if i > 0 {
			keys.StringData = map[string]string{"id": value}
			s.must(s.admin.Update(s.t.Context(), keys))
		}
		if result := sync(); len(result.Problems) > 0 || !result.Changed {
			s.t.Errorf("got %+v", result)
		}
		held := &corev1.Secret{}
		if s.get("hadoop-jindofs-credentials", held); string(held.Data["hadoop__fs.oss.accessKeyId"]) != value || len(held.Data) != 1 {
			s.t.Error("it holds something else")
		}
		if result := sync(); result.Changed {
			s.t.Error("it writes what it wrote")
		}
	}
}

func testUnbound(s *space) {
	s.create(newDataset())
	s.create(newRuntime("hadoop", "", 0))
	s.dataset(v1alpha1.NotBoundDatasetPhase, "Ready=False", "add the annotation data.fluid.io/dataset: hbase to the JindoRuntime")
	if s.get("hbase", &corev1.PersistentVolumeClaim{}) {
		s.t.Error("there is a claim")
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"data.fluid.io/dataset":"hbase"}}}`))
	s.must(s.admin.Patch(s.t.Context(), &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "hadoop"}}, patch))
	s.serve()
	s.dataset(v1alpha1.BoundDatasetPhase, "Ready=True", "")
}

// testManyAtOnce: one that is refused hinders no other.
func testManyAtOnce(s *space) {
	refused := newDataset()
	refused.Name = "refused"
	refused.Annotations = map[string]string{v1alpha1.PVCStorageAnnotation: "much"}
	s.create(refused)
	s.pair()
	s.eventually(func() string {
		d := &v1alpha1.Dataset{}
		if s.get("refused", d); d.Status.Phase != v1alpha1.FailedDatasetPhase {
			return "the phase is " + string(d.Status.Phase)
		}
		return ""
	})
}

func testSweep(s *space) {
	s.pair()
	s.must(teardown.Sweep(s.t.Context(), s.deps()))
	if !s.get("hbase", &corev1.PersistentVolumeClaim{}) || !s.volumeThere(&corev1.PersistentVolume{}) {
		s.t.Error("a living runtime's volume is gone")
	}
	lost := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: s.name + "-lost", Labels: map[string]string{
		names.LabelManagedBy: names.ManagedBy, names.LabelRuntimeNamespace: s.name, names.LabelRuntimeName: "gone",
	}}}
	lost.Spec = corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}, Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: names.Driver, VolumeHandle: "x"}},
	}
	s.must(s.admin.Create(s.t.Context(), lost))
	s.eventually(func() string {
		s.must(teardown.Sweep(s.t.Context(), s.deps()))
		if err := s.admin.Get(s.t.Context(), client.ObjectKeyFromObject(lost), lost); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the volume of a runtime that is gone is there: %v", err)
		}
		return ""
	})
}
