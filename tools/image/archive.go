package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// write writes the archive to a temporary file and renames it, so that no reader sees
// an incomplete one.
func write(o options) error {
	work, err := os.MkdirTemp(filepath.Dir(o.out), ".image-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := writeLayout(o, filepath.Join(work, "layout")); err != nil {
		return err
	}
	partial := filepath.Join(work, "archive")
	if err := archiveLayout(filepath.Join(work, "layout"), partial); err != nil {
		return err
	}
	return os.Rename(partial, o.out)
}

// writeLayout writes an OCI layout of one image, or of an index of images for
// several platforms.
func writeLayout(o options, dir string) error {
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	tag := o.name[strings.LastIndex(o.name, ":")+1:]
	named := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          o.name,
		"org.opencontainers.image.ref.name": tag,
	})
	if len(o.roots) == 1 {
		image, err := build(o, o.roots[0])
		if err != nil {
			return err
		}
		return to.AppendImage(image, named, layout.WithPlatform(o.roots[0].platform))
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, root := range o.roots {
		image, err := build(o, root)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &root.platform}})
	}
	return to.AppendIndex(index, named)
}

func build(o options, r root) (v1.Image, error) {
	files, err := collect(r.dir, o.base)
	if err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", r.platform.String(), err)
	}
	packed, err := layer(files, o.fast)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: packed, MediaType: types.OCILayer})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.OS, config.Architecture, config.Variant = r.platform.OS, r.platform.Architecture, r.platform.Variant
	config.Config.User, config.Config.Env, config.Config.Entrypoint = o.user, o.env, o.entrypoint
	config.Config.Labels = o.labels
	return mutate.ConfigFile(image, config)
}

// archiveLayout packs a layout, ordered by name.
func archiveLayout(dir, out string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return addFile(archive, dir, at)
	})
	return errors.Join(err, archive.Close(), f.Close())
}

func addFile(archive *tar.Writer, dir, at string) error {
	name, err := filepath.Rel(dir, at)
	if err != nil {
		return err
	}
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: info.Size(), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}
