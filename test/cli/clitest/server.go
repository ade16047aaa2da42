// Package clitest is an API server for tests of the plugin. It speaks HTTP and
// JSON as a real one does to clients: get, list with selectors, watch, create,
// update, the four kinds of patch, server-side apply with conflicts, dry runs,
// deletion with finalizers, discovery, port-forwards to listeners of the test.
// What it is told to refuse it refuses in kubectl's words, and what it is told
// to leave unanswered it takes and never answers.
//
// It validates nothing, sets no defaults and runs no controllers: objects are
// what tests put there.
package clitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
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

// User is who requests come from, unless they say that they are somebody else.
const User = "alice"

// Server is a fake API server. It is safe for concurrent use.
type Server struct {
	scheme *runtime.Scheme
	mapper meta.RESTMapper
	http   *http.Server
	addr   string
	served chan struct{}
	// done ends requests that are never answered.
	done   context.Context //nolint:containedctx // the server's life
	cancel context.CancelFunc

	store *store

	mu       sync.Mutex
	rules    []*rule
	requests []Request
	targets  map[string]string
	live     map[net.Conn]bool
}

// Request that was made, for tests that count them.
type Request struct {
	// Verb is get, list, watch, create, update, patch, delete or
	// deletecollection.
	Verb string
	// Resource with its subresource: "pods/portforward".
	Resource        string
	Namespace, Name string
	// Query as it was sent.
	Query string
}

// Start starts a server that holds the objects. Close ends it.
func Start(objects ...client.Object) (*Server, error) {
	scheme, err := session.Scheme()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting an API server for tests: %w", err)
	}
	s := &Server{
		scheme: scheme, mapper: session.Mapper(scheme), addr: listener.Addr().String(), served: make(chan struct{}),
		store: newStore(), targets: map[string]string{}, live: map[net.Conn]bool{},
	}
	s.done, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // it ends with Close
	}()
	for _, object := range objects {
		if err := s.Put(object); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// New starts a server that ends with the test.
func New(t testing.TB, objects ...client.Object) *Server {
	t.Helper()
	s, err := Start(objects...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Close ends the server; its address refuses connections from then on. It may be
// called again.
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

// URL of the server.
func (s *Server) URL() string { return "http://" + s.addr }

// Config to connect with.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.URL(), QPS: -1} }

// Kubeconfig writes one that names the server, with a namespace to work in.
func (s *Server) Kubeconfig(path, namespace string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: s.URL()}
	config.AuthInfos[User] = &clientcmdapi.AuthInfo{}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: User, Namespace: namespace}
	config.CurrentContext = "test"
	raw, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding a kubeconfig: %w", err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}

// Connect is for [session.Session.Connect]: the cluster is this server.
func (s *Server) Connect(from *session.Session) (*session.Cluster, error) {
	config := s.Config()
	config.Timeout = from.RequestTimeout
	c, err := client.New(config, client.Options{Scheme: s.scheme, Mapper: s.mapper})
	if err != nil {
		return nil, fmt.Errorf("connecting to the API server for tests: %w", err)
	}
	return &session.Cluster{Config: config, Client: c, Namespace: from.InNamespace()}, nil
}

// Requests that were made until now, in their order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request{}, s.requests...)
}

// Forget the requests that were made.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Forward port-forwards of a pod's port go to an address of the test, such as
// 127.0.0.1:3456.
func (s *Server) Forward(namespace, pod string, port int, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[fmt.Sprintf("%s/%s:%d", namespace, pod, port)] = address
}

var errNoKind = errors.New("no such kind in the scheme")

// Put makes an object, or replaces the one of its name, as if controllers had:
// nothing is refused, generation and resourceVersion are counted on.
func (s *Server) Put(object client.Object) error {
	u, gvr, err := s.unstructured(object)
	if err != nil {
		return err
	}
	s.store.put(gvr, u)
	return nil
}

// Drop an object without regard to finalizers.
func (s *Server) Drop(object client.Object) error {
	u, gvr, err := s.unstructured(object)
	if err != nil {
		return err
	}
	s.store.drop(gvr, u.GetNamespace(), u.GetName())
	return nil
}

// Find fills the object from the one that is stored under its name; false when
// there is none.
func (s *Server) Find(object client.Object) (bool, error) {
	u, gvr, err := s.unstructured(object)
	if err != nil {
		return false, err
	}
	found := s.store.get(gvr, u.GetNamespace(), u.GetName())
	if found == nil {
		return false, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, object); err != nil {
		return false, fmt.Errorf("decoding %s: %w", u.GetName(), err)
	}
	return true, nil
}
