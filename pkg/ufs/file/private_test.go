package file

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestPrivateInodes checks that the tag leaves out the inode where hosts number
// inodes by themselves.
func TestPrivateInodes(t *testing.T) {
	when := time.Unix(1e9, 5)
	var tags, private []string
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("same"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, versions{}.tag(info))
		private = append(private, versions{private: true}.tag(info))
	}
	if tags[0] == tags[1] || private[0] != private[1] {
		t.Errorf("with inodes %v, without %v", tags, private)
	}
}
