package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// buildFlags are the GOFLAGS of the Makefile, so that packages compiled for one
// target are reused by the others.
const buildFlags = "-trimpath -buildvcs=false"

// packAll packs every platform and returns the sums by archive name. Two
// platforms are built at a time: one links on a single core while the other
// compiles.
func packAll(ctx context.Context, root, out, version string, w io.Writer) (map[string]string, error) {
	platforms := packed()
	found := make([]string, len(platforms))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, p := range platforms {
		group.Go(func() error {
			sum, err := pack(ctx, root, out, version, p)
			if err != nil {
				return err
			}
			found[i] = sum
			_, _ = fmt.Fprintf(w, "%s  %s\n", sum, filepath.Join(out, p.archive(version)))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // pack names the platform
	}
	sums := map[string]string{}
	for i, p := range platforms {
		sums[p.archive(version)] = found[i]
	}
	return sums, nil
}

// packedFile is one file of an archive.
type packedFile struct {
	name    string
	mode    os.FileMode
	content []byte
}

// pack builds the plugin for a platform, writes its archive and returns the
// archive's SHA-256 sum in hexadecimal.
func pack(ctx context.Context, root, out, version string, p platform) (string, error) {
	program, err := build(ctx, root, version, p)
	if err != nil {
		return "", err
	}
	licence, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return "", fmt.Errorf("read the licence: %w", err)
	}
	archive, err := p.write([]packedFile{{"LICENSE", 0o644, licence}, {p.executable(), 0o755, program}})
	if err != nil {
		return "", fmt.Errorf("pack for %s: %w", p, err)
	}
	path := filepath.Join(out, p.archive(version))
	if err := os.WriteFile(path, archive, 0o644); err != nil {
		return "", fmt.Errorf("write the archive for %s: %w", p, err)
	}
	sum := sha256.Sum256(archive)
	return hex.EncodeToString(sum[:]), nil
}

// build returns the program. It contains no path of this machine and no time, so
// that every build of a version is the same.
func build(ctx context.Context, root, version string, p platform) ([]byte, error) {
	dir, err := os.MkdirTemp("", "jindo-krew-")
	if err != nil {
		return nil, fmt.Errorf("create a directory to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, p.executable())
	cmd := exec.CommandContext(ctx, "go", "build",
		"-ldflags", "-s -w -X github.com/jindo-io/jindo/pkg/version.version="+version, "-o", path, "./cmd/"+binary)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS="+buildFlags)
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build for %s: %w\n%s", p, err, output)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the program built for %s: %w", p, err)
	}
	return program, nil
}

// modTime returns the time of every file: the earliest that zip can represent.
func modTime() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

func (p platform) write(files []packedFile) ([]byte, error) {
	var out bytes.Buffer
	var err error
	if p.os == "windows" {
		err = writeZip(&out, files)
	} else {
		err = writeTar(&out, files)
	}
	return out.Bytes(), err
}

func writeTar(w io.Writer, files []packedFile) error {
	compressed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: modTime(),
			Typeflag: tar.TypeReg, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if _, err := archive.Write(f.content); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("close the archive: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return fmt.Errorf("close the archive: %w", err)
	}
	return nil
}

func writeZip(w io.Writer, files []packedFile) error {
	archive := zip.NewWriter(w)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: modTime()}
		header.SetMode(f.mode)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		if _, err := entry.Write(f.content); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("close the archive: %w", err)
	}
	return nil
}
