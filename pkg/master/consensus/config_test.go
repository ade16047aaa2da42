package consensus

import (
	"strings"
	"testing"

	"github.com/jindo-io/jindo/pkg/topology"
)

func TestConfigIsChecked(t *testing.T) {
	c := newCluster(t, 1)
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no name":            {func(c *Config) { c.Name = "" }, "name is empty"},
		"not listed":         {func(c *Config) { c.Topology.Masters = []topology.Member{{Name: "m-9"}} }, "not a master of the topology"},
		"no masters":         {func(c *Config) { c.Topology.Masters = nil }, "lists no masters"},
		"no directory":       {func(c *Config) { c.DataDir = "" }, "data directory"},
		"no cluster":         {func(c *Config) { c.ClusterID = "" }, "cluster id"},
		"no identity":        {func(c *Config) { c.Identity = nil }, "identity"},
		"no peers":           {func(c *Config) { c.Peers = nil }, "Peers"},
		"lease too long":     {func(c *Config) { c.Lease = 2 * c.Heartbeat }, "lease"},
		"election too short": {func(c *Config) { c.Election = c.Heartbeat / 2 }, "election"},
	} {
		config := c.config(0)
		config.Fatal = func(error) {}
		test.change(&config)
		if _, err := Open(config, &journal{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
	other := newCluster(t, 2)
	config := other.config(0)
	config.Fatal = func(error) {}
	config.Identity = other.Identity(1)
	if _, err := Open(config, &journal{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another's certificate: got %v", err)
	}
}

// TestTwoProcessesOnOneDisk checks that the second process fails to open the
// disk.
func TestTwoProcessesOnOneDisk(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.start(0)
	config := c.config(0)
	config.Fatal = func(error) {}
	if _, err := Open(config, &journal{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("got %v", err)
	}
}
