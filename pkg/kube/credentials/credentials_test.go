package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/credentials"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/plan"
)

func owner() *v1alpha1.JindoRuntime {
	return &v1alpha1.JindoRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hadoop", UID: "uid"}}
}

func secret(name string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

// fromSecret returns a plan with a mount whose credentials are in Secret keys.
func fromSecret() *plan.Plan {
	return &plan.Plan{Credentials: []plan.Credentials{{SecretRef: "hadoop", Mount: "hadoop", Refs: []plan.SecretKeyRef{
		{Option: "fs.oss.accessKeyId", Name: "keys", Key: "id"},
		{Option: "fs.oss.accessKeySecret", Name: "keys", Key: "secret"},
		{Option: "fs.oss.securityToken", Name: "keys", Key: "token", Optional: true},
	}}}}
}

var target = types.NamespacedName{Namespace: "default", Name: "hadoop-jindofs-credentials"}

func secretData(t *testing.T, c client.Client) map[string]string {
	t.Helper()
	s := &corev1.Secret{}
	if err := c.Get(t.Context(), target, s); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		t.Fatal(err)
	}
	data := map[string]string{}
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data
}

func sync(t *testing.T, c client.Client, p *plan.Plan) credentials.Result {
	t.Helper()
	result, err := credentials.Sync(t.Context(), c, c, owner(), p)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestSync(t *testing.T) {
	literal := &plan.Plan{Credentials: []plan.Credentials{{SecretRef: "hadoop", Mount: "hadoop", Literal: map[string]plan.Sensitive{"fs.oss.accessKeyId": "AK", "fs.oss.accessKeySecret": "SK"}}}}
	both := map[string]string{"hadoop__fs.oss.accessKeyId": "AK", "hadoop__fs.oss.accessKeySecret": "SK"}
	for _, test := range []struct {
		name     string
		objects  []client.Object
		plan     *plan.Plan
		want     map[string]string
		problems []string
	}{
		{"no credentials", nil, &plan.Plan{}, nil, nil},
		{"literal", nil, literal, both, nil},
		{"from a Secret", []client.Object{secret("keys", map[string]string{"id": "AK", "secret": "SK"})}, fromSecret(), both, nil},
		{
			"with a token",
			[]client.Object{secret("keys", map[string]string{"id": "AK", "secret": "SK", "token": "T"})},
			fromSecret(),
			map[string]string{"hadoop__fs.oss.accessKeyId": "AK", "hadoop__fs.oss.accessKeySecret": "SK", "hadoop__fs.oss.securityToken": "T"},
			nil,
		},
		{"no Secret", nil, fromSecret(), nil, []string{
			"fs.oss.accessKeyId: Secret keys in namespace default not found: create it",
			"fs.oss.accessKeySecret: Secret keys in namespace default not found: create it",
		}},
		{
			"no key",
			[]client.Object{secret("keys", map[string]string{"id": "AK"})},
			fromSecret(),
			map[string]string{"hadoop__fs.oss.accessKeyId": "AK"},
			[]string{"Secret keys in namespace default has no key secret: add it"},
		},
		{
			"an empty key",
			[]client.Object{secret("keys", map[string]string{"id": " \n", "secret": "SK"})},
			fromSecret(),
			map[string]string{"hadoop__fs.oss.accessKeySecret": "SK"},
			[]string{"key id of Secret keys in namespace default is empty"},
		},
		{
			"a foreign Secret has the name",
			[]client.Object{secret(target.Name, map[string]string{"mine": "x"})},
			literal,
			map[string]string{"mine": "x"},
			[]string{"does not belong to this runtime"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithObjects(test.objects...).Build()
			result := sync(t, c, test.plan)
			if got := secretData(t, c); !maps.Equal(got, test.want) {
				t.Errorf("Secret has %v, want %v", got, test.want)
			}
			if len(result.Problems) != len(test.problems) {
				t.Fatalf("problems %+v", result.Problems)
			}
			for i, want := range test.problems {
				if p := result.Problems[i]; !strings.Contains(p.Message, want) || p.Mount != "hadoop" {
					t.Errorf("problem %+v, want %q", p, want)
				}
			}
			if again := sync(t, c, test.plan); again.Changed {
				t.Error("the second Sync writes")
			}
		})
	}
}

func TestSecretBelongsToTheRuntime(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(secret("keys", map[string]string{"id": "AK", "secret": "SK"})).Build()
	if !sync(t, c, fromSecret()).Changed {
		t.Error("Sync did not write")
	}
	s := &corev1.Secret{}
	if err := c.Get(t.Context(), target, s); err != nil {
		t.Fatal(err)
	}
	if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != "uid" || s.Labels[names.LabelManagedBy] != names.ManagedBy {
		t.Errorf("got %+v", s.ObjectMeta)
	}
}

// TestRotationAndLoss: new values replace old ones, lost values remain in use.
func TestRotationAndLoss(t *testing.T) {
	keys := secret("keys", map[string]string{"id": "AK", "secret": "SK", "token": "T"})
	c := fake.NewClientBuilder().WithObjects(keys).Build()
	sync(t, c, fromSecret())
	keys = secret("keys", map[string]string{"id": "AK2", "secret": "SK2"})
	if err := c.Update(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	result := sync(t, c, fromSecret())
	rotated := map[string]string{"hadoop__fs.oss.accessKeyId": "AK2", "hadoop__fs.oss.accessKeySecret": "SK2"}
	if got := secretData(t, c); !maps.Equal(got, rotated) || !result.Changed || len(result.Problems) > 0 {
		t.Errorf("after rotation the Secret has %v: %+v", got, result)
	}
	if err := c.Delete(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	result = sync(t, c, fromSecret())
	if got := secretData(t, c); !maps.Equal(got, rotated) || result.Changed {
		t.Errorf("after loss the Secret has %v", got)
	}
	if len(result.Problems) != 2 || !strings.Contains(result.Problems[0].Message, "Secret keys in namespace default not found") || !strings.Contains(result.Problems[0].Message, "last known value is used") {
		t.Errorf("problems %+v", result.Problems)
	}
	// The credentials of a removed mount are removed.
	sync(t, c, &plan.Plan{})
	if got := secretData(t, c); len(got) > 0 {
		t.Errorf("the Secret still has %v", got)
	}
}

func TestUnreadableSecrets(t *testing.T) {
	resource := schema.GroupResource{Resource: "secrets"}
	for _, test := range []struct {
		name    string
		err     error
		problem string
	}{
		{"forbidden", apierrors.NewForbidden(resource, "keys", errors.New("no")), "not allowed to read Secret keys in namespace default"},
		{"API server unavailable", apierrors.NewServiceUnavailable("unavailable"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if key.Name == "keys" {
						return test.err
					}
					return c.Get(ctx, key, o, opts...)
				},
				List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
					return errors.New("unexpected list of Secrets")
				},
			}).Build()
			result, err := credentials.Sync(t.Context(), c, c, owner(), fromSecret())
			if test.problem == "" {
				if err == nil {
					t.Error("Sync returned no error")
				}
				return
			}
			if err != nil || len(result.Problems) == 0 || !strings.Contains(result.Problems[0].Message, test.problem) {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}

// TestResultHasNoValues: the result, which is logged and printed, has no values of
// Secrets.
func TestResultHasNoValues(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(secret("keys", map[string]string{"id": "VERYSECRET"})).Build()
	if text := fmt.Sprintf("%+v", sync(t, c, fromSecret())); strings.Contains(text, "VERYSECRET") {
		t.Errorf("the result has a value: %s", text)
	}
}

// A mount that is kept although the Dataset no longer has it keeps the credentials that
// the Dataset had as plain text.
func TestKeptCredentials(t *testing.T) {
	literal := &plan.Plan{Credentials: []plan.Credentials{{SecretRef: "hadoop", Mount: "hadoop", Literal: map[string]plan.Sensitive{"fs.oss.accessKeyId": "AK"}}}}
	kept := &plan.Plan{Credentials: []plan.Credentials{{SecretRef: "hadoop", Mount: "hadoop", Refs: []plan.SecretKeyRef{
		{Option: "fs.oss.accessKeyId", Name: target.Name, Key: "hadoop__fs.oss.accessKeyId"},
	}}}}
	c := fake.NewClientBuilder().Build()
	if problems := sync(t, c, kept).Problems; len(problems) != 1 || !strings.Contains(problems[0].Message, "write it into the Dataset") {
		t.Errorf("problems %v without a value", problems)
	}
	sync(t, c, literal)
	if result := sync(t, c, kept); result.Changed || len(result.Problems) > 0 {
		t.Errorf("kept: %+v", result)
	}
	if got := secretData(t, c); got["hadoop__fs.oss.accessKeyId"] != "AK" {
		t.Errorf("credentials %v", got)
	}
}

// Retired credentials are kept as they are beside the new ones, until the plan no longer
// names them; workers see with the revision which they have.
func TestRetiredCredentials(t *testing.T) {
	before := &plan.Plan{Credentials: []plan.Credentials{
		{SecretRef: "a", Mount: "a", Literal: map[string]plan.Sensitive{"fs.oss.accessKeyId": "OLD"}},
		{SecretRef: "a-b", Mount: "a-b", Literal: map[string]plan.Sensitive{"fs.oss.accessKeyId": "OTHER"}},
	}}
	c := fake.NewClientBuilder().Build()
	sync(t, c, before)
	during := &plan.Plan{RetiredSecretRefs: []string{"a"}, CredentialsRevision: 2, Credentials: []plan.Credentials{
		{SecretRef: "a-r2", Mount: "a", Literal: map[string]plan.Sensitive{"fs.oss.accessKeyId": "NEW"}},
	}}
	sync(t, c, during)
	want := map[string]string{"a__fs.oss.accessKeyId": "OLD", "a-r2__fs.oss.accessKeyId": "NEW", "revision": "2"}
	if got := secretData(t, c); !maps.Equal(got, want) {
		t.Errorf("during the change: %v, want %v", got, want)
	}
	during.RetiredSecretRefs = nil
	sync(t, c, during)
	delete(want, "a__fs.oss.accessKeyId")
	if got := secretData(t, c); !maps.Equal(got, want) {
		t.Errorf("afterwards: %v, want %v", got, want)
	}
}
