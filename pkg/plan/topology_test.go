package plan

import (
	"fmt"
	"testing"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
	"github.com/jindo-io/jindo/pkg/topology"
)

func TestTopology(t *testing.T) {
	p := build(t, "testdata/seed.yaml")
	r := p.Topology("id-1", func(c *Component, ordinal int) string { return fmt.Sprintf("%s-%d.host", c.Role, ordinal) })
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	if r.ClusterID != "id-1" || r.Namespace != "default" || r.Name != "hadoop" || len(r.Masters) != 3 || len(r.Workers) != 3 {
		t.Errorf("got %+v", r)
	}
	if want := (topology.Member{Name: "hadoop-jindofs-master-2", Host: "master-2.host", Port: 18004, RaftPort: 18006, HealthPort: 18008}); r.Masters[2] != want {
		t.Errorf("got %+v, want %+v", r.Masters[2], want)
	}
	if want := (topology.Member{Name: "hadoop-jindofs-worker-0", Host: "worker-0.host", Port: 18005, HealthPort: 18008}); r.Workers[0] != want {
		t.Errorf("got %+v, want %+v", r.Workers[0], want)
	}
}

func TestTopologyOfFuseOnly(t *testing.T) {
	p := build(t, "testdata/fuse-only.yaml")
	r := p.Topology("id-1", func(*Component, int) string { return "host" })
	if err := r.Validate(); err != nil || len(r.Masters)+len(r.Workers) != 0 {
		t.Errorf("got %+v, error %v", r, err)
	}
}

func TestMountsForMasters(t *testing.T) {
	p := build(t, "testdata/mounts.yaml")
	once, always := p.Mounts[0].Proto(), p.Mounts[1].Proto()
	if once.GetId() != "" || once.GetName() != "models" || once.GetPath() != "/models" || once.GetUri() != "oss://models/" || once.GetSecretRef() != "models" || once.GetReadOnly() || once.GetMetaPolicy() != commonv1.MetaPolicy_META_POLICY_ONCE {
		t.Errorf("got %+v", once)
	}
	if !always.GetReadOnly() || always.GetMetaPolicy() != commonv1.MetaPolicy_META_POLICY_ALWAYS || always.GetOptions()["fs.oss.endpoint"] != "oss-cn-shanghai.aliyuncs.com" {
		t.Errorf("got %+v", always)
	}
	always.Options["x"] = "y"
	if p.Mounts[1].Options["x"] != "" {
		t.Error("the message shares its map with the plan")
	}
}

func TestNamesAndPorts(t *testing.T) {
	p := build(t, "testdata/seed.yaml")
	if got := p.Masters.InstanceName(0); got != "hadoop-jindofs-master-0" {
		t.Errorf("the first master is called %s", got)
	}
	for _, test := range []struct {
		component *Component
		port      string
		want      int
	}{
		{p.Masters, PortRPC, 18004},
		{p.Masters, PortRaft, 18006},
		{p.Masters, PortHealth, 18008},
		{p.Workers, PortRPC, 18005},
		{p.Workers, PortRaft, 0},
		{p.Fuse, PortHealth, 18008},
		{p.Fuse, PortRPC, 0},
	} {
		if got := test.component.Port(test.port); got != test.want {
			t.Errorf("port %s of %s is %d, want %d", test.port, test.component.Name, got, test.want)
		}
	}
}
