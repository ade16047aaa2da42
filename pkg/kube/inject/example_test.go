package inject_test

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/inject"
)

// A labelled pod that mounts the claim of a Dataset gets a sidecar. Planning the
// result again returns no operations.
func ExamplePlan() {
	pod := []byte(`{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": {"name": "train", "labels": {"serverless.fluid.io/inject": "true"}},
		"spec": {
			"containers": [{"name": "main", "image": "train:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
			"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "imagenet"}}]
		}
	}`)
	runtime := &v1alpha1.JindoRuntime{}
	runtime.Name = "imagenet"
	request := inject.Request{
		Pod: pod, Namespace: "vision", Image: "jindo:v1",
		Datasets: map[string]*inject.Dataset{
			"imagenet": {Name: "imagenet", Phase: v1alpha1.BoundDatasetPhase, Ready: true, Runtime: runtime},
		},
	}

	result, err := inject.Plan(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Message)
	for _, operation := range result.Operations {
		fmt.Println(operation.Op, operation.Path)
	}

	injected, err := inject.Apply(pod, result.Operations)
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Pod = injected
	again, err := inject.Plan(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(again.Message)

	// Output:
	// sidecar jindo-fuse serves dataset "imagenet"
	// add /metadata/annotations
	// add /spec/volumes/-
	// add /spec/initContainers
	// sidecar jindo-fuse already serves dataset "imagenet"
}
