package input

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file, want, fails string
		limit             int64
	}{
		"file":               {file: path, want: "12345", limit: 5},
		"standard input":     {file: "-", want: "abcdef", limit: 6},
		"too large":          {file: path, limit: 4, fails: "larger than 4 bytes"},
		"too large on stdin": {file: "-", limit: 5, fails: "reading standard input"},
		"missing":            {file: path + "x", limit: 5, fails: "x.yamlx"},
		"directory":          {file: filepath.Dir(path), limit: 5, fails: filepath.Dir(path)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := Read(test.file, strings.NewReader("abcdef"), test.limit)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("it answers %v", err)
				}
				return
			}
			if err != nil || string(raw) != test.want {
				t.Errorf("%q, %v", raw, err)
			}
		})
	}
}
