package consensus

import (
	"os"
	"strings"
	"testing"
)

func TestIdentityBelongsToItsDisk(t *testing.T) {
	h := memberDir{t.TempDir()}
	first, err := h.open("hadoop-jindofs-master-0", "c1")
	if err != nil {
		t.Fatal(err)
	}
	if nameOf(first.ID) != "hadoop-jindofs-master-0" {
		t.Fatalf("generated %q", first.ID)
	}
	// Without a log it is unknown whether the id was used.
	second, err := h.open("hadoop-jindofs-master-0", "c1")
	if err != nil || second.ID == first.ID {
		t.Fatalf("an id without a log was used again: %q, %v", second.ID, err)
	}
	if err := os.WriteFile(h.log(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := h.open("hadoop-jindofs-master-0", "c1")
	if err != nil || third != second {
		t.Fatalf("got %+v, %v", third, err)
	}
	if err := os.WriteFile(h.retired(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fourth, err := h.open("hadoop-jindofs-master-0", "c1")
	if err != nil || fourth.ID == third.ID {
		t.Fatalf("the id of a replaced member was used again: %q, %v", fourth.ID, err)
	}
	if _, err := os.Stat(h.dir + "/aside-" + third.ID); err != nil {
		t.Fatalf("the directory was not set aside: %v", err)
	}
}

func TestAMismatchedIdentityIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    string
	}{
		"another name":       {`{"format":1,"id":"m-1-ff","name":"m-1","clusterID":"c1"}`, "belongs to m-1"},
		"another cluster":    {`{"format":1,"id":"m-0-ff","name":"m-0","clusterID":"c2"}`, "belongs to cluster c2"},
		"another format":     {`{"format":2,"id":"m-0-ff","name":"m-0","clusterID":"c1"}`, "format 2 is not supported"},
		"id of another name": {`{"format":1,"id":"m-9-ff","name":"m-0","clusterID":"c1"}`, "invalid member id"},
		"torn":               {`{"format":1,"id`, "identity.json"},
		"lost":               {"", "without"},
	} {
		t.Run(name, func(t *testing.T) {
			h := memberDir{t.TempDir()}
			if err := os.MkdirAll(h.member(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(h.log(), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.content != "" {
				if err := os.WriteFile(h.identity(), []byte(test.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := h.open("m-0", "c1"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestAddressesOfTwoIDsDiffer(t *testing.T) {
	first, second := serverAddress("h:1", "m-0-a"), serverAddress("h:1", "m-0-b")
	if first == second {
		t.Fatal("the library compares them as equal")
	}
	if hostPort, id := splitAddress(second); hostPort != "h:1" || id != "m-0-b" {
		t.Fatalf("%q %q", hostPort, id)
	}
}
