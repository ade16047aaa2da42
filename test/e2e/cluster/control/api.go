package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

// api is a client for the few requests that a start depends on.
type api struct {
	client *http.Client
	base   string
}

func newAPI(dir string) (*api, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &api{
		base: "https://" + net.JoinHostPort(state.Bridge, strconv.Itoa(state.APIPort)),
		client: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}},
		},
	}, nil
}

const waiting = 3 * time.Minute

// wait calls done until it succeeds or ctx ends.
func (a *api) wait(ctx context.Context, what string, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, waiting)
	defer cancel()
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *api) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s returned %s: %.300s", path, answer.Status, body)
	}
	return body, nil
}

func (a *api) ready(ctx context.Context) error {
	_, err := a.get(ctx, "/readyz")
	return err
}

// account succeeds once the default service account exists, which pods need.
func (a *api) account(ctx context.Context) error {
	_, err := a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
	return err
}

func (a *api) nodes(ctx context.Context) error {
	body, err := a.get(ctx, "/api/v1/nodes")
	if err != nil {
		return err
	}
	var list struct {
		Items []struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	ready, last := 0, ""
	for _, item := range list.Items {
		for _, condition := range item.Status.Conditions {
			if condition.Type != "Ready" {
				continue
			}
			if condition.Status == "True" {
				ready++
			} else {
				last = condition.Message
			}
		}
	}
	if ready < state.Nodes {
		return fmt.Errorf("%d of %d nodes are ready; %d have registered; %s", ready, state.Nodes, len(list.Items), last)
	}
	return nil
}

func (c *cluster) wait(ctx context.Context) error {
	api, err := newAPI(c.Layout.PKI())
	if err != nil {
		return err
	}
	if err := api.wait(ctx, "nodes", api.nodes); err != nil {
		return err
	}
	return api.wait(ctx, "the account that pods run under", api.account)
}

// apply creates the objects that a cluster has before anything is installed. DNS is
// served by a process outside the nodes, so that no node's loss affects it.
func (c *cluster) apply(ctx context.Context) error {
	command := exec.CommandContext(ctx, filepath.Join(c.Programs.Kube, "kubectl"), "--kubeconfig", c.pki("admin.kubeconfig"), "apply", "-f", "-")
	command.Stdin = bytes.NewBufferString(fmt.Sprintf(objects, state.DNS, state.Bridge))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("create the Service kube-dns: %w: %s", err, out)
	}
	return nil
}

const objects = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: system:coredns}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: system:coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: %s
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-cluster, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints:
- addresses: [%s]
  conditions: {ready: true}
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
`
