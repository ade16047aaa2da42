// Package clitest provides an API server for tests of the plugin. It serves get,
// list with selectors, watch, create, update, merge and JSON patches, server-side
// apply with conflicts, dry runs, deletion with finalizers, discovery, and
// port-forwards to listeners of the test, over HTTP. Rules make it refuse
// requests as RBAC does, fail them, or never respond.
//
// Objects are kept in client-go's field-managed object tracker. The server
// validates nothing, sets no defaults and runs no controllers: objects are what
// tests put there.
package clitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jindo-io/jindo/pkg/cli/session"
)

// User is the user of requests that do not impersonate another one.
const User = "alice"

// Server is a fake API server. It is safe for concurrent use.
type Server struct {
	scheme *runtime.Scheme
	mapper meta.RESTMapper
	http   *http.Server
	addr   string
	served chan struct{}
	// done ends requests that hang.
	done   context.Context //nolint:containedctx // the server's life
	cancel context.CancelFunc

	store *store

	mu       sync.Mutex
	rules    []*rule
	requests []Request
	targets  map[string]string
	live     map[net.Conn]bool
}

// Request describes a request that was received.
type Request struct {
	// Verb is get, list, watch, create, update, patch, delete or
	// deletecollection.
	Verb string
	// Resource with its subresource: "pods/portforward".
	Resource        string
	Namespace, Name string
	// Query is the encoded query.
	Query string
}

// Start starts a server with the objects. The caller must Close it.
func Start(objects ...client.Object) (*Server, error) {
	scheme, err := session.Scheme()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start an API server for tests: %w", err)
	}
	s := &Server{
		scheme: scheme, mapper: session.Mapper(scheme), addr: listener.Addr().String(), served: make(chan struct{}),
		store: newStore(), targets: map[string]string{}, live: map[net.Conn]bool{},
	}
	s.done, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // returns when the server is closed
	}()
	for _, object := range objects {
		if err := s.Put(object); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// New starts a server that is closed when the test ends.
func New(t testing.TB, objects ...client.Object) *Server {
	t.Helper()
	s, err := Start(objects...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Close stops the server; its address refuses connections from then on. It may be
// called more than once.
func (s *Server) Close() {
	s.cancel()
	_ = s.http.Close()
	s.mu.Lock()
	for conn := range s.live {
		_ = conn.Close()
	}
	s.mu.Unlock()
	<-s.served
}

// URL returns the base URL of the server.
func (s *Server) URL() string { return "http://" + s.addr }

// Config returns a client configuration for the server.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.URL(), QPS: -1} }

// Kubeconfig writes a kubeconfig for the server, whose context has the namespace.
func (s *Server) Kubeconfig(path, namespace string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: s.URL()}
	config.AuthInfos[User] = &clientcmdapi.AuthInfo{}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: User, Namespace: namespace}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	return nil
}

// Use makes a session use the server's cluster, through a kubeconfig as any user
// does. The global flags must have been added to the session.
func (s *Server) Use(t testing.TB, in *session.Session) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := s.Kubeconfig(path, ""); err != nil {
		t.Fatal(err)
	}
	in.Kube.KubeConfig = &path
}

// Requests returns the requests since the last ClearRequests, in their order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request{}, s.requests...)
}

// ClearRequests removes the requests that were recorded.
func (s *Server) ClearRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Forward sets the address, such as 127.0.0.1:3456, that port-forwards of a pod's
// port connect to.
func (s *Server) Forward(namespace, pod string, port int, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[fmt.Sprintf("%s/%s:%d", namespace, pod, port)] = address
}

var errUnknownKind = errors.New("unknown kind")

// Put creates or replaces an object without a request: rules do not apply, and
// fields are not managed. It increments generation and resourceVersion.
func (s *Server) Put(object client.Object) error {
	u, of, err := s.unstructured(object)
	if err != nil {
		return err
	}
	return s.store.put(of, u)
}

// Drop deletes an object, finalizers or not.
func (s *Server) Drop(object client.Object) error {
	u, of, err := s.unstructured(object)
	if err != nil {
		return err
	}
	return s.store.drop(of, u.GetNamespace(), u.GetName())
}

// Find reads the stored object of the same name into object, and reports whether
// it exists.
func (s *Server) Find(object client.Object) (bool, error) {
	u, of, err := s.unstructured(object)
	if err != nil {
		return false, err
	}
	found := s.store.get(of, u.GetNamespace(), u.GetName())
	if found == nil {
		return false, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, object); err != nil {
		return false, fmt.Errorf("decode %s: %w", u.GetName(), err)
	}
	return true, nil
}
