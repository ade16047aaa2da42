package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/test/cli/clitest"
)

const (
	statusRuns = 20
	// statusPairs is the number of pairs of a Dataset and a JindoRuntime without a
	// cluster.
	statusPairs = 10
)

// statusOf measures the status screen, which queries every member if there are any,
// compared with kubectl get of the same objects.
func statusOf(ctx context.Context, bin, dir string) (table, error) {
	kubectl, err := findKubectl()
	if err != nil {
		return table{}, err
	}
	where, config, end, err := statusCluster(ctx, kubectl, dir)
	if err != nil {
		return table{}, err
	}
	defer end()
	bin, err = filepath.Abs(bin)
	if err != nil {
		return table{}, fmt.Errorf("find the plugin: %w", err)
	}
	t := table{
		Title: "Status of runtimes",
		Notes: fmt.Sprintf("%d runs each in turns, all namespaces of %s.", statusRuns, where),
	}
	env := []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	t.Series, err = alternate(ctx, statusRuns,
		program{name: "kubectl get datasets,jindoruntimes", words: append([]string{kubectl, "get", "datasets,jindoruntimes", "-A"}, config...), env: env},
		program{name: "kubectl jindo status", words: append([]string{kubectl, "jindo", "status", "-A"}, config...), env: env},
	)
	return t, err
}

// findKubectl returns the kubectl of this repository's cluster, or one on PATH.
func findKubectl() (string, error) {
	own, err := filepath.Abs(filepath.Join(".cluster", "kubectl"))
	if err == nil {
		if _, err := os.Stat(own); err == nil {
			return own, nil
		}
	}
	found, err := exec.LookPath("kubectl")
	if err != nil {
		return "", errors.New("kubectl not found: make cluster-up builds one")
	}
	return found, nil
}

// statusCluster returns the cluster of this repository if it is running and has
// runtimes, otherwise an API server in this process. config has the arguments that
// select it.
func statusCluster(ctx context.Context, kubectl, dir string) (where string, config []string, end func(), err error) {
	if strings.HasSuffix(kubectl, filepath.Join(".cluster", "kubectl")) {
		out, err := exec.CommandContext(ctx, kubectl, "get", "jindoruntimes", "-A", "-o", "name").Output()
		if count := len(strings.Fields(string(out))); err == nil && count > 0 {
			return fmt.Sprintf("the cluster of `make cluster-up` with %d JindoRuntimes, whose members the plugin queries", count), nil, func() {}, nil
		}
	}
	server, err := clitest.Start()
	if err != nil {
		return "", nil, nil, err
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := errors.Join(server.Kubeconfig(path, "default"), putPairs(server)); err != nil {
		server.Close()
		return "", nil, nil, err
	}
	return fmt.Sprintf("an API server in process with %d pairs, none of which has members", statusPairs), []string{"--kubeconfig", path}, server.Close, nil
}

func putPairs(server *clitest.Server) error {
	for i := range statusPairs {
		at := metav1.ObjectMeta{Namespace: "vision", Name: fmt.Sprintf("set-%d", i)}
		dataset := &v1alpha1.Dataset{ObjectMeta: at}
		dataset.Spec.Mounts = []v1alpha1.Mount{{MountPoint: "oss://test-bucket/", Name: "data"}}
		dataset.Status.Phase = v1alpha1.BoundDatasetPhase
		dataset.Status.Conditions = []v1alpha1.DatasetCondition{{Type: v1alpha1.DatasetReady, Status: corev1.ConditionTrue}}
		if err := errors.Join(server.Put(dataset), server.Put(&v1alpha1.JindoRuntime{ObjectMeta: at})); err != nil {
			return err
		}
	}
	return nil
}
