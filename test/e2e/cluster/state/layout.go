// Package state defines where a cluster keeps its files, and records what must be
// removed when it ends.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Addresses within the cluster's own network.
const (
	Bridge      = "10.240.0.1" // of control plane and object stores
	APIPort     = 6443
	OSSPort     = 9900
	S3Port      = 9901
	DNS         = "10.96.0.10"
	KubernetesI = "10.96.0.1" // the Service kubernetes
	Services    = "10.96.0.0/16"
	Pods        = "10.244.0.0/16"
)

// Credentials and buckets of the object stores.
const (
	AccessKeyID     = "test"
	AccessKeySecret = "test-secret"
	Bucket          = "test-bucket"
)

// Nodes are the nodes of a cluster.
const Nodes = 3

// NodeName returns the name of the i-th node, counted from 1.
func NodeName(i int) string { return "node" + strconv.Itoa(i) }

// NodeNumber is the inverse of NodeName.
func NodeNumber(name string) (int, error) {
	for i := 1; i <= Nodes; i++ {
		if NodeName(i) == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown node %q: nodes are %s to %s", name, NodeName(1), NodeName(Nodes))
}

// NodeAddress returns the address of the i-th node.
func NodeAddress(i int) string { return fmt.Sprintf("10.240.0.%d", 10+i) }

// PodRange returns the address range of the i-th node's pods.
func PodRange(i int) string { return fmt.Sprintf("10.244.%d.0/24", i) }

// Layout is a state directory.
type Layout struct{ Dir string }

func (l Layout) in(name ...string) string { return filepath.Join(append([]string{l.Dir}, name...)...) }

// Kubeconfig is for users and tests outside the cluster's network.
func (l Layout) Kubeconfig() string { return l.in("kubeconfig") }

// Kubectl is a kubectl for this cluster that ignores KUBECONFIG.
func (l Layout) Kubectl() string { return l.in("kubectl") }

// Env names the object stores, for a shell and for tests.
func (l Layout) Env() string { return l.in("env") }

// Logs holds a file for each process.
func (l Layout) Logs() string { return l.in("logs") }

// Audit is the API server's log of the requests of the product's accounts.
func (l Layout) Audit() string { return l.in("logs", "audit.log") }

// Images holds the archives that every node imports.
func (l Layout) Images() string { return l.in("images") }

// Earlier holds the manifests and images of an earlier commit.
func (l Layout) Earlier() string { return l.in("earlier") }

// Bin holds programs built for this cluster.
func (l Layout) Bin() string { return l.in("bin") }

// PKI holds certificates, keys and the components' kubeconfigs.
func (l Layout) PKI() string { return l.in("pki") }

// Etcd is etcd's data.
func (l Layout) Etcd() string { return l.in("etcd") }

// OSS is the directory of the OSS server's buckets.
func (l Layout) OSS() string { return l.in("store", "oss") }

// S3 is the directory of the S3 server's buckets.
func (l Layout) S3() string { return l.in("store", "s3") }

// Node is the private directory of a node.
func (l Layout) Node(name string) string { return l.in("nodes", name) }

// Lock is held while the cluster is started or stopped.
func (l Layout) Lock() string { return l.in("lock") }

func (l Layout) record() string { return l.in("record.json") }

// Remove removes everything but logs and archives of images.
func (l Layout) Remove() error {
	var failed error
	for _, path := range []string{l.in("nodes"), l.in("store"), l.Etcd(), l.PKI(), l.Kubeconfig(), l.Kubectl(), l.Env(), l.record()} {
		failed = errors.Join(failed, os.RemoveAll(path))
	}
	return failed
}

// Record describes a running cluster, for the process that stops it.
type Record struct {
	// ID prefixes the names of namespaces and cgroups; it holds PID.
	ID string `json:"id"`
	// PID is the control process; Start distinguishes it from a later process with the
	// same pid.
	PID   int    `json:"pid"`
	Start string `json:"start"`
	// Nodes are the pids of the nodes' supervisors.
	Nodes map[string]int `json:"nodes"`
}

// Read returns the record; found is false if there is none.
func (l Layout) Read() (r Record, found bool, err error) {
	raw, err := os.ReadFile(l.record())
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, false, fmt.Errorf("read %s: %w", l.record(), err)
	}
	return r, true, nil
}

// Write replaces the record.
func (l Layout) Write(r Record) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	partial := l.record() + ".partial"
	if err := os.WriteFile(partial, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, l.record())
}
