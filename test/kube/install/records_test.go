package install_test

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/kube/names"
)

// TestRecordsAreReserved checks that users neither change what the controller has written
// for pods nor create such objects before or after it.
func TestRecordsAreReserved(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	controller, alice := s.as(t, "jindoruntime-controller", ""), s.user(t, "alice")
	config := func() *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: names.Config("hadoop"), Labels: names.Labels("hadoop", "")},
			Data:       map[string]string{"roster.json": "{}", names.ConfigFormed: "true"},
		}
	}
	eventually(t, "the policy is enforced", func() error {
		if err := alice.Create(t.Context(), config(), client.DryRunAll); err == nil {
			return errors.New("a user may create the ConfigMap")
		}
		return nil
	})
	if err := controller.Create(t.Context(), config()); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"master", "worker", "fuse", "admin", "credentials"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: names.Secret("hadoop", role), Labels: names.Labels("hadoop", "")}}
		if err := alice.Create(t.Context(), secret.DeepCopy(), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "are reserved") {
			t.Errorf("a user creates the Secret of role %s: %v", role, err)
		}
		if err := controller.Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		secret.Data = map[string][]byte{"tls.crt": []byte("forged")}
		if err := alice.Update(t.Context(), secret, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "are reserved") {
			t.Errorf("a user changes the Secret of role %s: %v", role, err)
		}
	}
	for name, change := range map[string]func(*corev1.ConfigMap){
		"the topology":             func(c *corev1.ConfigMap) { c.Data["roster.json"] = `{"clusterID":"x"}` },
		"the record of formation":  func(c *corev1.ConfigMap) { c.Data[names.ConfigFormed] = "false" },
		"all data":                 func(c *corev1.ConfigMap) { c.Data = nil },
		"binary data":              func(c *corev1.ConfigMap) { c.BinaryData = map[string][]byte{"x": nil} },
		"whether it can be edited": func(c *corev1.ConfigMap) { c.Immutable = new(true) },
		"the labels":               func(c *corev1.ConfigMap) { c.Labels = nil },
	} {
		changed := &corev1.ConfigMap{}
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(config()), changed); err != nil {
			t.Fatal(err)
		}
		change(changed)
		if err := alice.Update(t.Context(), changed, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("a user changes %s: %v", name, err)
		}
	}
	annotated := config()
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(annotated), annotated); err != nil {
		t.Fatal(err)
	}
	annotated.Annotations = map[string]string{"tool": "x"}
	if err := alice.Update(t.Context(), annotated); err != nil {
		t.Errorf("a user annotates the ConfigMap: %v", err)
	}
	if err := alice.Delete(t.Context(), config()); err != nil {
		t.Errorf("a user deletes the ConfigMap: %v", err)
	}
	if err := alice.Create(t.Context(), config()); err == nil || !strings.Contains(err.Error(), "are reserved") {
		t.Errorf("a user creates the deleted ConfigMap: %v", err)
	}
	if err := controller.Create(t.Context(), config()); err != nil {
		t.Errorf("the controller creates the deleted ConfigMap: %v", err)
	}
	for _, object := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop-config"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hadoop-jindofs-master-keys"}},
	} {
		if err := alice.Create(t.Context(), object, client.DryRunAll); err != nil {
			t.Errorf("a user creates %s: %v", object.GetName(), err)
		}
	}
}
