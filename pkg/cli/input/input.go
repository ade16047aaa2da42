// Package input reads the files that commands are given with -f.
package input

import (
	"io"
	"os"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// Read reads a file of at most limit bytes, or stdin for "-". An error names the
// file and is one of usage.
func Read(file string, stdin io.Reader, limit int64) ([]byte, error) {
	reader := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, clierror.Usagef("reading manifests: %w", err)
		}
		defer func() { _ = opened.Close() }()
		reader = opened
	}
	raw, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil {
		return nil, clierror.Usagef("reading %s: %w", Name(file), err)
	}
	if int64(len(raw)) > limit {
		return nil, clierror.Usagef("reading %s: it is larger than %d bytes", Name(file), limit)
	}
	return raw, nil
}

// Name of a file for people.
func Name(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}
