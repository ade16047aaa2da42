package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jindo-io/jindo/test/e2e/cluster/state"
)

func testNode() node {
	return node{
		Options: Options{Layout: state.Layout{Dir: "/state"}, ID: "jindo-kube-1", Number: 2},
		name:    "node2", address: state.NodeAddress(2), dir: "/state/nodes/node2",
	}
}

func TestCNIConfig(t *testing.T) {
	var config struct {
		Plugins []struct {
			Type string
			IPAM struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal([]byte(testNode().cniConfig()), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Plugins) != 2 || config.Plugins[0].IPAM.Ranges[0][0].Subnet != "10.244.2.0/24" {
		t.Errorf("%+v", config)
	}
}

func TestConfigsNameTheNodesOwn(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"its address", testNode().kubeletConfig(), "address: 10.240.0.12\n"},
		{"its control group", testNode().kubeletConfig(), "cgroupRoot: /jindo-kube-1/node2\n"},
		{"its certificate", testNode().kubeletConfig(), "tlsCertFile: /state/pki/node2.crt\n"},
		{"percent signs", testNode().kubeletConfig(), `memory.available: "0%"`},
		{"its images", testNode().containerdConfig(), `root = "/state/nodes/node2/containerd"`},
	} {
		if !strings.Contains(c.text, c.want) {
			t.Errorf("%s: no %q in %s", c.name, c.want, c.text)
		}
	}
}
