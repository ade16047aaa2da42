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
)

// packedFile is one file of an archive.
type packedFile struct {
	name    string
	mode    os.FileMode
	content []byte
}

// pack builds the plugin for a platform and writes its archive; it answers the
// archive's sum.
func pack(ctx context.Context, root, out, version string, p platform) (string, error) {
	program, err := build(ctx, root, version, p)
	if err != nil {
		return "", err
	}
	licence, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return "", fmt.Errorf("reading the licence: %w", err)
	}
	archive, err := p.write([]packedFile{{"LICENSE", 0o644, licence}, {p.executable(), 0o755, program}})
	if err != nil {
		return "", fmt.Errorf("packing for %s: %w", p, err)
	}
	path := filepath.Join(out, p.archive(version))
	if err := os.WriteFile(path, archive, 0o644); err != nil {
		return "", fmt.Errorf("writing the archive for %s: %w", p, err)
	}
	sum := sha256.Sum256(archive)
	return hex.EncodeToString(sum[:]), nil
}

// build answers the program. Neither this machine's paths nor the time of the
// build are in it.
func build(ctx context.Context, root, version string, p platform) ([]byte, error) {
	dir, err := os.MkdirTemp("", "jindo-krew-")
	if err != nil {
		return nil, fmt.Errorf("making a directory to build in: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, p.executable())
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X github.com/jindo-io/jindo/pkg/version.version="+version, "-o", path, "./cmd/"+binary)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building for %s: %w\n%s", p, err, said)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading what was built for %s: %w", p, err)
	}
	return program, nil
}

// made is the time of every file: the oldest that a zip archive can say.
func made() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

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
		return fmt.Errorf("compressing: %w", err)
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: made(),
			Typeflag: tar.TypeReg, Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
		if _, err := archive.Write(f.content); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("ending the archive: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return fmt.Errorf("ending the archive: %w", err)
	}
	return nil
}

func writeZip(w io.Writer, files []packedFile) error {
	archive := zip.NewWriter(w)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: made()}
		header.SetMode(f.mode)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
		if _, err := entry.Write(f.content); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("ending the archive: %w", err)
	}
	return nil
}
