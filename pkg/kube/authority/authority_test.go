package authority

import (
	"bytes"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/kube/render"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/plan"
)

// testbed is a Manager with a fake API server and a clock.
type testbed struct {
	t *testing.T
	*Manager
	clock   time.Time
	runtime *v1alpha1.JindoRuntime
}

func newTestbed(t *testing.T) *testbed {
	t.Helper()
	scheme := kruntime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	s := &testbed{t: t, clock: time.Now(), runtime: &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "hadoop", UID: "u1"}}}
	s.Manager = &Manager{Client: c, Live: c, SystemNamespace: "fluid-system", Now: func() time.Time { return s.clock }}
	s.replicas(3, 2)
	return s
}

func (s *testbed) replicas(masters, workers int32) {
	s.runtime.Spec.Master.Replicas, s.runtime.Spec.Replicas = &masters, &workers
}

// sync calls Sync and returns the data of the Secret of each role.
func (s *testbed) sync() map[string]map[string][]byte {
	s.t.Helper()
	p, err := plan.Build(nil, s.runtime)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.Authority(s.t.Context(), s.runtime)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Sync(s.t.Context(), s.runtime, a, p, render.Topology(p, "c1")); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]map[string][]byte{}
	for _, role := range []string{"master", "worker", "fuse", "admin"} {
		all[role] = s.secret("team", names.Secret("hadoop", role)).Data
	}
	return all
}

func (s *testbed) secret(namespace, name string) *corev1.Secret {
	s.t.Helper()
	secret := &corev1.Secret{}
	if err := s.Client.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		s.t.Fatal(err)
	}
	return secret
}

func equalKey(a, b map[string][]byte, key string) bool {
	return len(a[key]) > 0 && bytes.Equal(a[key], b[key])
}

func TestCertificatesOfRoles(t *testing.T) {
	s := newTestbed(t)
	all := s.sync()
	for _, test := range []struct {
		role, cert, key string
		want            mtls.Peer
	}{
		{"master", "hadoop-jindofs-master-2.crt", "hadoop-jindofs-master-2.key", mtls.Peer{Role: mtls.Master, Name: "hadoop-jindofs-master-2"}},
		{"worker", "hadoop-jindofs-worker-1.crt", "hadoop-jindofs-worker-1.key", mtls.Peer{Role: mtls.Worker, Name: "hadoop-jindofs-worker-1"}},
		{"fuse", "tls.crt", "tls.key", mtls.Peer{Role: mtls.Fuse, Name: "hadoop-jindofs-fuse"}},
		{"admin", "tls.crt", "tls.key", mtls.Peer{Role: mtls.Admin, Name: "admin"}},
	} {
		data := all[test.role]
		identity, err := mtls.NewIdentity(mtls.Pair{CA: data["ca.crt"], Cert: data[test.cert], Key: data[test.key]})
		if err != nil || identity.Peer() != test.want {
			t.Errorf("%s: peer %v, want %v, error %v", test.role, identity.Peer(), test.want, err)
		}
	}
	if !bytes.Contains(all["fuse"]["roster.json"], []byte("hadoop-jindofs-worker-1.hadoop-jindofs-worker.team.svc")) {
		t.Errorf("the topology of the mounts is %s", all["fuse"]["roster.json"])
	}
	for role, data := range all {
		if _, ok := data[caKey]; ok {
			t.Errorf("the Secret of role %s has the authority's key", role)
		}
	}
	if len(s.secret("fluid-system", names.AuthoritySecret("u1")).Data[caKey]) == 0 {
		t.Error("the authority's Secret has no key")
	}
}

func TestFuseArgs(t *testing.T) {
	s := newTestbed(t)
	s.runtime.Spec.Fuse.Args = []string{"-oattr_timeout=7200", "-oentry_timeout=7200", "-onegative_timeout=60"}
	got := string(s.sync()["fuse"][names.FuseSecretArgs])
	if want := `["--attr-timeout=2h0m0s","--entry-timeout=2h0m0s","--negative-timeout=1m0s"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s.sync()["admin"][names.FuseSecretArgs] != nil {
		t.Error("other roles have the arguments, too")
	}
}

func TestScalingReissuesNothing(t *testing.T) {
	s := newTestbed(t)
	before := s.sync()
	s.replicas(3, 4)
	after := s.sync()
	for _, key := range []string{"hadoop-jindofs-worker-0.crt", "hadoop-jindofs-worker-1.key"} {
		if !equalKey(before["worker"], after["worker"], key) {
			t.Errorf("%s was reissued", key)
		}
	}
	if len(after["worker"]["hadoop-jindofs-worker-3.crt"]) == 0 {
		t.Error("the fourth worker has no certificate")
	}
	if !equalKey(before["master"], after["master"], "hadoop-jindofs-master-0.crt") {
		t.Error("a master's certificate was reissued")
	}
	s.replicas(3, 1)
	if less := s.sync(); less["worker"]["hadoop-jindofs-worker-3.crt"] != nil {
		t.Error("the certificate of a removed worker remains")
	}
}

func TestRenewal(t *testing.T) {
	for _, test := range []struct {
		name    string
		after   time.Duration
		renewed bool
	}{
		{"immediately", 0, false},
		{"after half of the lifetime", certLifetime / 2, false},
		{"after more than two thirds", certLifetime*2/3 + time.Hour, true},
		{"after expiry", certLifetime + time.Hour, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTestbed(t)
			before := s.sync()
			s.clock = s.clock.Add(test.after)
			after := s.sync()
			if got := !equalKey(before["admin"], after["admin"], "tls.crt"); got != test.renewed {
				t.Errorf("renewed: %v, want %v", got, test.renewed)
			}
		})
	}
}

// A lost or damaged Secret is repaired at the next check. A lost authority is
// replaced, with all certificates.
func TestRepair(t *testing.T) {
	s := newTestbed(t)
	before := s.sync()
	damaged := s.secret("team", names.Secret("hadoop", "admin"))
	damaged.Data["tls.crt"] = []byte("torn")
	lost := s.secret("team", names.Secret("hadoop", "fuse"))
	if err := s.Client.Update(t.Context(), damaged); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Delete(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	s.clock = s.clock.Add(recheckInterval)
	after := s.sync()
	if bytes.Equal(after["admin"]["tls.crt"], []byte("torn")) || len(after["fuse"]["tls.crt"]) == 0 {
		t.Error("the Secrets were not repaired")
	}
	if !equalKey(before["master"], after["master"], "hadoop-jindofs-master-0.crt") {
		t.Error("a valid certificate was reissued")
	}
	if err := s.Client.Delete(t.Context(), s.secret("fluid-system", names.AuthoritySecret("u1"))); err != nil {
		t.Fatal(err)
	}
	s.clock = s.clock.Add(recheckInterval)
	replaced := s.sync()
	if equalKey(after["admin"], replaced["admin"], "ca.crt") || equalKey(after["master"], replaced["master"], "hadoop-jindofs-master-0.crt") {
		t.Error("a certificate of the lost authority remains")
	}
}

// A foreign Secret of the same name is not changed.
func TestForeignSecret(t *testing.T) {
	s := newTestbed(t)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: names.Secret("hadoop", "fuse")}, Data: map[string][]byte{"mine": []byte("x")}}
	if err := s.Client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(nil, s.runtime)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Authority(t.Context(), s.runtime)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context(), s.runtime, a, p, render.Topology(p, "c1")); err == nil {
		t.Error("Sync returned no error")
	}
	if got := s.secret("team", foreign.Name); string(got.Data["mine"]) != "x" || len(got.Data) != 1 {
		t.Errorf("the foreign Secret has %v", got.Data)
	}
}
