package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/jindo-io/jindo/pkg/cli/clierror"
)

// stdinName is the file name that stands for standard input.
const stdinName = "-"

// maxSize is the largest file that is read, in bytes.
const maxSize = 16 << 20

// defaultTimeout is used for Sources without a Timeout.
const defaultTimeout = 30 * time.Second

// Sources are the values of -f, -k and -R. Directories, patterns and file
// extensions are handled by cli-runtime as for kubectl. Its resource.Builder is
// not used, since it decodes every document: inject must keep the bytes, and
// duplicate keys would be lost before the strict decoder sees them.
type Sources struct {
	// Files are paths of files or directories, patterns, URLs, or "-".
	Files []string
	// Kustomize is a directory or URL with a kustomization.
	Kustomize string
	// Recursive includes the directories below those in Files.
	Recursive bool
	// Timeout bounds the requests for all URLs in Files together, bodies included;
	// 0 means 30 s.
	Timeout time.Duration
}

// AddFlags adds -f, -k and -R; usage describes the files.
func (s *Sources) AddFlags(flags *pflag.FlagSet, usage string) {
	kubectl := genericclioptions.FileNameFlags{Usage: usage, Filenames: &s.Files, Kustomize: &s.Kustomize, Recursive: &s.Recursive}
	kubectl.AddFlags(flags)
}

// IsEmpty reports whether neither -f nor -k was given.
func (s *Sources) IsEmpty() bool { return len(s.Files) == 0 && s.Kustomize == "" }

// UsesStdin reports whether one of the files is standard input.
func (s *Sources) UsesStdin() bool { return slices.Contains(s.Files, stdinName) }

// File is one manifest as it was read.
type File struct {
	// Name is the path or URL, or "standard input".
	Name string
	Raw  []byte
}

// Read reads all sources, in the order given and within a directory in the order
// of the names. It returns when ctx ends, even while it waits for standard input.
// Every error names the source; all but those of ctx are errors of usage.
func (s *Sources) Read(ctx context.Context, stdin io.Reader) ([]File, error) {
	switch {
	case s.Kustomize != "" && len(s.Files) > 0:
		return nil, clierror.Usagef("-f and -k cannot be used together")
	case s.Kustomize != "" && s.Recursive:
		return nil, clierror.Usagef("-k and -R cannot be used together")
	}
	type result struct {
		files []File
		err   error
	}
	// Reads of pipes and terminals cannot be interrupted: one that ctx ends stays
	// behind until the process exits.
	done := make(chan result, 1)
	go func() {
		files, err := s.read(ctx, stdin)
		done <- result{files, err}
	}()
	select {
	case <-ctx.Done():
		return nil, interruptedError{ctx.Err()}
	case r := <-done:
		return r.files, r.err
	}
}

// interruptedError is the error of Read when its context ends.
type interruptedError struct{ error }

func (interruptedError) Error() string { return "reading manifests: interrupted" }

func (e interruptedError) Unwrap() error { return e.error }

func (s *Sources) read(ctx context.Context, stdin io.Reader) ([]File, error) {
	if s.Kustomize != "" {
		file, err := build(s.Kustomize)
		return []File{file}, err
	}
	timeout := cmp.Or(s.Timeout, defaultTimeout)
	downloads, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no response within %v; --request-timeout waits longer", timeout))
	defer cancel()
	var files []File
	for _, name := range s.Files {
		found, err := s.readOne(downloads, name, stdin)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

func (s *Sources) readOne(downloads context.Context, name string, stdin io.Reader) ([]File, error) {
	switch {
	case name == stdinName:
		file, err := readAll("standard input", stdin)
		return []File{file}, err
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		file, err := download(downloads, name)
		return []File{file}, err
	}
	paths, err := s.expand(name)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, path := range paths {
		file, err := readFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// expand returns the files that a path or pattern names.
func (s *Sources) expand(name string) ([]string, error) {
	matches := []string{name}
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		found, err := filepath.Glob(name)
		if err != nil || len(found) == 0 {
			return nil, clierror.Usagef("the path %q does not exist", name)
		}
		matches = found
	}
	var paths []string
	for _, match := range matches {
		visitors, err := resource.ExpandPathsToFileVisitors(nil, match, s.Recursive, resource.FileExtensions, nil)
		if err != nil {
			return nil, clierror.Usagef("reading %s: %w", match, err)
		}
		for _, visitor := range visitors {
			if file, ok := visitor.(*resource.FileVisitor); ok {
				paths = append(paths, file.Path)
			}
		}
	}
	if len(paths) == 0 {
		failed := clierror.Usagef("no manifest in %s: only %s files are read", name, strings.Join(resource.FileExtensions, ", "))
		if !s.Recursive {
			return nil, failed.WithHint("-R includes the directories below it")
		}
		return nil, failed
	}
	return paths, nil
}

func readFile(path string) (File, error) {
	opened, err := os.Open(path)
	if err != nil {
		return File{}, clierror.Usagef("reading manifests: %w", err)
	}
	defer func() { _ = opened.Close() }()
	return readAll(path, opened)
}

func readAll(name string, reader io.Reader) (File, error) {
	raw, err := io.ReadAll(io.LimitReader(reader, maxSize+1))
	if err != nil {
		return File{}, clierror.Usagef("reading %s: %w", name, err)
	}
	if len(raw) > maxSize {
		return File{}, clierror.Usagef("reading %s: it is larger than %d bytes", name, maxSize)
	}
	return File{Name: name, Raw: raw}, nil
}

func download(ctx context.Context, url string) (File, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return File{}, clierror.Usagef("reading %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return File{}, downloadError(ctx, url, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return File{}, clierror.Usagef("reading %s: the server returned %s", url, response.Status)
	}
	file, err := readAll(url, response.Body)
	if err != nil && ctx.Err() != nil {
		return File{}, downloadError(ctx, url, err)
	}
	return file, err
}

// downloadError names the URL once, and the timeout if that is the cause.
func downloadError(ctx context.Context, url string, err error) error {
	var failed *neturl.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return clierror.Usagef("reading %s: %w", url, err)
}

func build(directory string) (File, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return File{}, clierror.Usagef("building %s: %w", directory, err)
	}
	raw, err := built.AsYaml()
	if err != nil {
		return File{}, clierror.Usagef("building %s: %w", directory, err)
	}
	return File{Name: directory, Raw: raw}, nil
}
