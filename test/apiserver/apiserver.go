// Package apiserver provides a kube-apiserver with etcd, and objects built on them,
// that the tests of a package share: created by the first test that needs them, and
// stopped after the last.
package apiserver

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Need ends a test if the programs are not installed.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make kube-test`, or set it to the directory that `make kube-assets` prints")
	}
}

// Ends are functions that stop what was started, run in reverse order.
type Ends struct{ all []func() error }

// Add adds a function.
func (e *Ends) Add(end func() error) { e.all = append(e.all, end) }

// Start starts an environment that is stopped with the others.
func (e *Ends) Start(env *envtest.Environment) (*rest.Config, error) {
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("start etcd and kube-apiserver: %w", err)
	}
	e.Add(env.Stop)
	return config, nil
}

// Shared is one S for all tests of a package. It is safe for concurrent use.
type Shared[S any] struct {
	build func(*Ends) (S, error)
	once  sync.Once
	value S
	err   error
	ends  Ends
}

// Share returns a Shared that build creates on first use. What build started is
// stopped even if it fails.
func Share[S any](build func(*Ends) (S, error)) *Shared[S] { return &Shared[S]{build: build} }

// Get returns the S, or ends the test if it could not be built.
func (s *Shared[S]) Get(t testing.TB) S {
	t.Helper()
	Need(t)
	s.once.Do(func() { s.value, s.err = s.build(&s.ends) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.value
}

// Run runs the tests, stops what was started, and returns the exit code.
func (s *Shared[S]) Run(m *testing.M) int {
	code := m.Run()
	var failed error
	for i := len(s.ends.all) - 1; i >= 0; i-- {
		failed = errors.Join(failed, s.ends.all[i]())
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, "ending what the tests shared:", failed)
	}
	return code
}
