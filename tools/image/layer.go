package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// file is one entry of a layer.
type file struct {
	name string // without a leading slash
	mode fs.FileMode
	link string // of a symbolic link
	from string // on disk
	body []byte // when from is empty
}

// collect returns the entries of a tree and of base, ordered by name. Modes are 0755
// for executables and directories, and 0644 for other files.
func collect(dir string, base bool) ([]file, error) {
	files, err := walk(dir)
	if err != nil {
		return nil, err
	}
	if base {
		added, err := baseFiles()
		if err != nil {
			return nil, err
		}
		files = append(files, added...)
	}
	have := map[string]bool{}
	for _, f := range files {
		have[f.name] = true
	}
	for _, f := range slices.Clone(files) {
		for parent := path.Dir(f.name); parent != "."; parent = path.Dir(parent) {
			if !have[parent] {
				have[parent] = true
				files = append(files, file{name: parent, mode: fs.ModeDir | 0o755})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

func walk(dir string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		f := file{name: filepath.ToSlash(name), from: at}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			f.mode = fs.ModeDir | 0o755
		case info.Mode()&fs.ModeSymlink != 0:
			f.mode = fs.ModeSymlink | 0o777
			if f.link, err = os.Readlink(at); err != nil {
				return err
			}
		case info.Mode().IsRegular() && info.Mode()&0o111 != 0:
			f.mode = 0o755
		case info.Mode().IsRegular():
			f.mode = 0o644
		default:
			return errors.New(at + " is neither a file, a directory nor a symbolic link")
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

const (
	passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// baseFiles returns the files that programs expect even without a shell.
func baseFiles() ([]file, error) {
	var roots bytes.Buffer
	for root := range bundle.Roots() {
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return []file{
		{name: "etc/passwd", mode: 0o644, body: []byte(passwd)},
		{name: "etc/group", mode: 0o644, body: []byte(group)},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, body: roots.Bytes()},
		{name: "tmp", mode: fs.ModeDir | fs.ModeSticky | 0o777},
	}, nil
}

// layer packs files each time it is read, so that no image is held in memory.
func layer(files []file, fast bool) (v1.Layer, error) {
	level := gzip.DefaultCompression
	if fast {
		level = gzip.NoCompression
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		reader, writer := io.Pipe()
		go func() { _ = writer.CloseWithError(pack(writer, files)) }()
		return reader, nil
	}, tarball.WithCompressionLevel(level))
}

func pack(w io.Writer, files []file) error {
	archive := tar.NewWriter(w)
	for _, f := range files {
		if err := packOne(archive, f); err != nil {
			return err
		}
	}
	return archive.Close()
}

func packOne(archive *tar.Writer, f file) error {
	header := &tar.Header{Name: f.name, Mode: int64(f.mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if f.mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case f.mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, f.name+"/"
	case f.mode&fs.ModeSymlink != 0:
		header.Typeflag, header.Linkname = tar.TypeSymlink, f.link
	default:
		header.Typeflag = tar.TypeReg
	}
	if header.Typeflag != tar.TypeReg {
		return archive.WriteHeader(header)
	}
	body := io.NopCloser(io.Reader(bytes.NewReader(f.body)))
	header.Size = int64(len(f.body))
	if f.from != "" {
		opened, err := os.Open(f.from)
		if err != nil {
			return err
		}
		info, err := opened.Stat()
		if err != nil {
			return errors.Join(err, opened.Close())
		}
		body, header.Size = opened, info.Size()
	}
	defer func() { _ = body.Close() }()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, body)
	return err
}
