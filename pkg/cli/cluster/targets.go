package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/apierror"
	"github.com/jindo-io/jindo/pkg/cli/clierror"
	"github.com/jindo-io/jindo/pkg/cli/collect"
	"github.com/jindo-io/jindo/pkg/cli/forward"
	"github.com/jindo-io/jindo/pkg/cli/session"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
	"github.com/jindo-io/jindo/pkg/mtls"
	"github.com/jindo-io/jindo/pkg/topology"
)

// Targets returns the members of a runtime. They are reached by port-forward through
// the API server, with the administrator's certificate.
func Targets(ctx context.Context, c *session.Cluster, runtime *v1alpha1.JindoRuntime) (collect.Targets, error) {
	var (
		config  corev1.ConfigMap
		secret  corev1.Secret
		failed  [2]error
		reading sync.WaitGroup
	)
	reading.Go(func() {
		key := client.ObjectKey{Namespace: runtime.Namespace, Name: names.Config(runtime.Name)}
		failed[0] = readError(c, "ConfigMap", key, c.Get(ctx, key, &config))
	})
	reading.Go(func() {
		key := client.ObjectKey{Namespace: runtime.Namespace, Name: names.Secret(runtime.Name, string(mtls.Admin))}
		failed[1] = readError(c, "Secret", key, c.Get(ctx, key, &secret))
	})
	reading.Wait()
	for _, err := range []error{failed[1], failed[0]} { // the right that users lack most often
		if err != nil {
			return collect.Targets{}, err
		}
	}
	members, err := membersIn(&config)
	if err != nil {
		return collect.Targets{}, err
	}
	identity, err := mtls.NewIdentity(mtls.Pair{
		Cert: secret.Data[mtls.CertFile], Key: secret.Data[mtls.KeyFile], CA: secret.Data[mtls.CAFile],
	})
	if err != nil {
		return collect.Targets{}, fmt.Errorf("reading the certificate in Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	forwarder := forward.New(c.Config, runtime.Namespace)
	return collect.Targets{
		Topology: members, Identity: identity, Timeout: cmp.Or(c.Config.Timeout, session.DefaultRequestTimeout),
		Dial: func(ctx context.Context, m topology.Member) (net.Conn, error) {
			return forwarder.Dial(ctx, m.Name, m.Port)
		},
	}, nil
}

func membersIn(config *corev1.ConfigMap) (topology.Topology, error) {
	var members topology.Topology
	err := json.Unmarshal([]byte(config.Data[names.FuseSecretRoster]), &members)
	if err == nil {
		err = members.Validate()
	}
	if err != nil {
		return topology.Topology{}, fmt.Errorf("reading the members in ConfigMap %s/%s: %w", config.Namespace, config.Name, err)
	}
	return members, nil
}

// readError explains why the address or the certificate of the members could not be
// read.
func readError(c *session.Cluster, kind string, key client.ObjectKey, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err) && kind == "Secret":
		return clierror.Generalf("querying the members of JindoRuntime %s needs the right to get secret %s", key.Namespace+"/"+runtimeOf(key.Name), key.Name).
			WithHint("it holds the certificate for administrators; an administrator of the namespace can bind a role that allows it").
			WithTry("kubectl auth can-i get secret/%s -n %s", key.Name, key.Namespace)
	case apierrors.IsNotFound(err):
		return clierror.Generalf("%s %s not found: the controller has not set up JindoRuntime %s yet", kind, key, key.Namespace+"/"+runtimeOf(key.Name)).
			WithTry("kubectl get pods -n %s", names.SystemNamespace)
	}
	return apierror.Explain(nil, c, "reading "+kind+" "+key.String(), err)
}

func runtimeOf(object string) string {
	for _, part := range []string{string(mtls.Admin), "config"} {
		if n := len(object) - len(names.Component("", part)); n > 0 && names.Component(object[:n], part) == object {
			return object[:n]
		}
	}
	return object
}

// forbiddenError returns the error of a user who may not forward ports, or nil.
func forbiddenError(namespace string, refused *forward.ForbiddenError) error {
	if refused == nil {
		return nil
	}
	return clierror.Generalf("querying the members needs the right to create pods/portforward in namespace %s", namespace).
		WithHint("they are reached through the API server; an administrator of the namespace can bind a role that allows it").
		WithTry("kubectl auth can-i create pods/portforward -n %s", namespace)
}

// recordForbidden makes the dialler record that the user lacks the right. The returned
// function returns the last such error, or nil.
func recordForbidden(t *collect.Targets) (refused func() *forward.ForbiddenError) {
	var (
		mu    sync.Mutex
		first *forward.ForbiddenError
	)
	dial := t.Dial
	t.Dial = func(ctx context.Context, m topology.Member) (net.Conn, error) {
		conn, err := dial(ctx, m)
		var forbidden *forward.ForbiddenError
		if errors.As(err, &forbidden) {
			mu.Lock()
			defer mu.Unlock()
			first = forbidden
		}
		return conn, err
	}
	return func() *forward.ForbiddenError {
		mu.Lock()
		defer mu.Unlock()
		return first
	}
}
