// Package apiserver gives the tests of a package one kube-apiserver with its
// etcd, and what is built on it, to share: made by the first test that asks,
// ended after the last.
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

// Need ends a test where the programs are missing.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make kube-test`, or set it to the directory that `make kube-assets` prints")
	}
}

// Ends are what there is to end, the last begun first.
type Ends struct{ all []func() error }

// Add one.
func (e *Ends) Add(end func() error) { e.all = append(e.all, end) }

// Start an environment, which ends with the others.
func (e *Ends) Start(env *envtest.Environment) (*rest.Config, error) {
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting etcd and kube-apiserver: %w", err)
	}
	e.Add(env.Stop)
	return config, nil
}

// Shared is one S for all tests of a package. Safe for concurrent use.
type Shared[S any] struct {
	build func(*Ends) (S, error)
	once  sync.Once
	value S
	err   error
	ends  Ends
}

// Share what build makes. What it began is ended even if it fails.
func Share[S any](build func(*Ends) (S, error)) *Shared[S] { return &Shared[S]{build: build} }

// Get it, or end the test.
func (s *Shared[S]) Get(t testing.TB) S {
	t.Helper()
	Need(t)
	s.once.Do(func() { s.value, s.err = s.build(&s.ends) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.value
}

// Run the tests and end what was begun; the answer is for os.Exit.
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
