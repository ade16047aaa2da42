package dataload_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/controller/dataload"
	"github.com/jindo-io/jindo/pkg/kube/controller/manager"
	"github.com/jindo-io/jindo/pkg/kube/health"
	"github.com/jindo-io/jindo/test/apiserver"
)

// testTimeout bounds waits; no test asserts it.
const testTimeout = time.Minute

// shared is a kube-apiserver with the controller.
var shared = apiserver.Share(func(ends *apiserver.Ends) (client.Client, error) {
	config, err := ends.Start(&envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "..", "..", "manifests", "crd")}, ErrorIfCRDPathMissing: true,
	})
	if err != nil {
		return nil, err
	}
	mgr, err := manager.NewManager(config, "test", manager.Options{Namespace: "default"})
	if err != nil {
		return nil, err
	}
	if err := (&dataload.Reconciler{Client: mgr.GetClient()}).SetupWithManager(mgr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	ends.Add(func() error { cancel(); return <-done })
	return client.New(config, client.Options{Scheme: mgr.GetScheme()})
})

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(shared.Run(m))
}

// check waits until a DataLoad has the phase and, if unsupported, the condition.
func check(t *testing.T, c client.Client, name string, phase v1alpha1.OperationPhase, unsupported bool) *v1alpha1.DataLoad {
	t.Helper()
	load := &v1alpha1.DataLoad{}
	deadline := time.Now().Add(testTimeout)
	for {
		err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, load)
		if err == nil {
			found := false
			for _, condition := range load.Status.Conditions {
				found = found || condition.Type == v1alpha1.OperationNotSupportedYet && condition.Status == corev1.ConditionTrue && condition.Message == v1alpha1.DataLoadUnsupported
			}
			if found == unsupported && load.Status.Phase == phase {
				return load
			}
			err = fmt.Errorf("status %+v", load.Status)
		}
		if time.Now().After(deadline) {
			t.Fatalf("DataLoad %s: %v", name, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A DataLoad of a Dataset that a JindoRuntime serves says that it is not carried out, also
// if the runtime is created later. Others are not changed.
func TestDataLoadIsNotSupportedYet(t *testing.T) {
	c := shared.Get(t)
	create := func(o client.Object) {
		t.Helper()
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	load := func(name, dataset string) *v1alpha1.DataLoad {
		l := &v1alpha1.DataLoad{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		l.Spec.Dataset.Name = dataset
		return l
	}
	runtime := func(name string) *v1alpha1.JindoRuntime {
		return &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	}
	create(load("foreign", "alluxio"))
	create(load("early", "hbase"))
	create(runtime("hadoop"))
	create(load("late", "hadoop"))
	late := check(t, c, "late", v1alpha1.PendingOperationPhase, true)
	if result := health.EvaluateDataLoad(late); result.Level != health.Failed || result.Message() != v1alpha1.DataLoadUnsupported {
		t.Errorf("level %s, message %q", result.Level, result.Message())
	}
	create(runtime("hbase"))
	early := check(t, c, "early", v1alpha1.PendingOperationPhase, true)
	check(t, c, "foreign", v1alpha1.NoneOperationPhase, false)
	if err := c.Delete(t.Context(), runtime("hbase")); err != nil {
		t.Fatal(err)
	}
	check(t, c, "early", v1alpha1.PendingOperationPhase, false)
	if early.Status.Duration != v1alpha1.UnfinishedDuration {
		t.Errorf("duration %q", early.Status.Duration)
	}
}
