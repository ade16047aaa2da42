package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newDir returns a member directory, and the identity that it was created with.
func newDir(t *testing.T) (memberDir, identity) {
	t.Helper()
	h := memberDir{t.TempDir()}
	created, err := h.open("m-0", "c1")
	if err != nil {
		t.Fatal(err)
	}
	return h, created.identity
}

func TestIdentityBelongsToItsDisk(t *testing.T) {
	h, first := newDir(t)
	if nameOf(first.ID) != "m-0" {
		t.Fatalf("generated %q", first.ID)
	}
	second, err := h.open("m-0", "c1")
	if err != nil || second.identity.ID != first.ID {
		t.Fatalf("got %+v, %v", second, err)
	}
	if err := os.WriteFile(h.retired(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := h.open("m-0", "c1")
	if err != nil || third.identity.ID == first.ID {
		t.Fatalf("the id of a replaced member was used again: %+v, %v", third, err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "aside-"+first.ID)); err != nil {
		t.Fatalf("the directory was not set aside: %v", err)
	}
}

// TestANewDirectoryIsCompleteOrAbsent: a process that is killed while it creates
// a directory leaves nothing that looks like a damaged member.
func TestANewDirectoryIsCompleteOrAbsent(t *testing.T) {
	h := memberDir{t.TempDir()}
	for _, left := range []string{"identity.json", "raft.db", "tail"} {
		if err := os.MkdirAll(h.unfinished(), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.unfinished(), left), []byte("unfinished"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(h.member(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.open("m-0", "c1"); err != nil {
		t.Fatal(err)
	}
	if left, err := exists(h.unfinished()); left || err != nil {
		t.Fatalf("the unfinished directory remains: %v, %v", left, err)
	}
}

func TestAMismatchedIdentityIsDamage(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    string
	}{
		"another name":       {`{"format":1,"id":"m-1-ff","name":"m-1","clusterID":"c1"}`, "belongs to m-1"},
		"another cluster":    {`{"format":1,"id":"m-0-ff","name":"m-0","clusterID":"c2"}`, "belongs to cluster c2"},
		"id of another name": {`{"format":1,"id":"m-9-ff","name":"m-0","clusterID":"c1"}`, "invalid member id"},
		"no checksum":        {`{"format":2,"id":"m-0-ff","name":"m-0","clusterID":"c1"}`, "checksum"},
		"an unknown field":   {`{"format":1,"id":"m-0-ff","nane":"m-0","clusterID":"c1"}`, "identity.json"},
		"torn":               {`{"format":1,"id`, "identity.json"},
		"empty":              {"", "identity.json"},
		"lost":               {"-", "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newDir(t)
			err := os.WriteFile(h.identity(), []byte(test.content), 0o600)
			if test.content == "-" {
				err = os.Remove(h.identity())
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.open("m-0", "c1")
			var spoiled *DamageError
			if !errors.As(err, &spoiled) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want damage with %q", err, test.want)
			}
		})
	}
}

// TestANewerFormatIsNotDamage: the directory of a newer program must not be
// replaced by an older one. A changed digit is no newer format.
func TestANewerFormatIsNotDamage(t *testing.T) {
	h, _ := newDir(t)
	raw, err := os.ReadFile(h.identity())
	if err != nil {
		t.Fatal(err)
	}
	var spoiled *DamageError
	for content, damaged := range map[string]bool{
		`{"format":3,"id":"m-0-ff","name":"m-0","clusterID":"c1","checksum":"of format 3"}`: false,
		strings.Replace(string(raw), `"format": 2`, `"format": 3`, 1):                       true,
	} {
		if err := os.WriteFile(h.identity(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := h.open("m-0", "c1"); err == nil || errors.As(err, &spoiled) != damaged {
			t.Errorf("%s: got %v", content, err)
		}
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
