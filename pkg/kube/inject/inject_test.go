package inject

import (
	"testing"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
)

func TestThin(t *testing.T) {
	pod := []byte(`{"metadata":{"labels":{"serverless.fluid.io/inject":"true"}},"spec":{"containers":[{"name":"a","volumeMounts":[{"name":"d","mountPath":"/d"}]}],"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"hbase"}}]}}`)
	r := Request{Pod: pod, Namespace: "ns", Image: "img:1", Datasets: map[string]*Dataset{"hbase": {Name: "hbase", Ready: true, Runtime: &v1alpha1.JindoRuntime{}}}}
	res, err := Plan(r)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Apply(pod, res.Operations)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s", res.Message, out)
	r.Pod = out
	res, err = Plan(r)
	if err != nil || len(res.Operations) > 0 {
		t.Fatalf("%+v %v", res, err)
	}
	res, err = Remove(out)
	if err != nil {
		t.Fatal(err)
	}
	out, err = Apply(out, res.Operations)
	t.Logf("%s %v", out, err)
}
