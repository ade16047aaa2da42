// Package dataset makes files whose every byte can be told from the file's
// name, so that a reader of any range of any file knows whether it is right
// without reading anything else.
package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Sums is the name of the file that lists every other file with its SHA-256,
// as sha256sum -c reads it.
const Sums = "SHA256SUMS"

// File is one file of a set.
type File struct {
	// Path relative to the set's root, with slashes.
	Path string
	Size int64
	// Generation tells apart the contents that one path has had.
	Generation int
}

// Options of a set.
type Options struct {
	// Files in the set, Sums not counted.
	Files int
	// Large files among them, of LargeSize bytes.
	Large     int
	LargeSize int64
	// Small files have 0 to SmallSize bytes.
	SmallSize int64
	Seed      uint64
}

// Plan lists the files of a set without writing any.
func Plan(o Options) []File {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	files := make([]File, 0, o.Files)
	for i := range o.Files {
		if i < o.Large {
			files = append(files, File{Path: fmt.Sprintf("models/shard-%03d.bin", i), Size: o.LargeSize})
			continue
		}
		path := fmt.Sprintf("train/class-%02d/image-%05d.jpg", random.IntN(32), i)
		files = append(files, File{Path: path, Size: random.Int64N(o.SmallSize + 1)})
	}
	return files
}

// Write writes the files of a set and their sums below a directory.
func Write(dir string, files []File) error {
	var sums bytes.Buffer
	for _, f := range files {
		sum := sha256.New()
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the data set: %w", err)
		}
		out, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("making the data set: %w", err)
		}
		_, err = io.Copy(io.MultiWriter(out, sum), f.Reader())
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("making %s of the data set: %w", f.Path, err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), f.Path)
	}
	if err := os.WriteFile(filepath.Join(dir, Sums), sums.Bytes(), 0o644); err != nil {
		return fmt.Errorf("making the data set: %w", err)
	}
	return nil
}

// Bytes adds up the sizes of files.
func Bytes(files []File) int64 {
	var total int64
	for _, f := range files {
		total += f.Size
	}
	return total
}

// Fill writes into p the bytes that the file has from offset on. p must not
// reach past the file's end.
func (f File) Fill(p []byte, offset int64) {
	var word [8]byte
	key := f.key()
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], mix(key+uint64(offset/8)))
		n := copy(p, word[offset%8:])
		p, offset = p[n:], offset+int64(n)
		for len(p) >= 8 && offset%8 == 0 {
			binary.LittleEndian.PutUint64(p, mix(key+uint64(offset/8)))
			p, offset = p[8:], offset+8
		}
	}
}

// Check reports the first byte of p that is not what the file has from offset
// on.
func (f File) Check(p []byte, offset int64) error {
	want := make([]byte, len(p))
	f.Fill(want, offset)
	if bytes.Equal(p, want) {
		return nil
	}
	for i := range p {
		if p[i] != want[i] {
			return fmt.Errorf("%s (generation %d) has %#02x at byte %d, not %#02x", f.Path, f.Generation, p[i], offset+int64(i), want[i])
		}
	}
	return nil
}

// Content is the whole file in memory.
func (f File) Content() []byte {
	p := make([]byte, f.Size)
	f.Fill(p, 0)
	return p
}

// Reader reads the file's bytes from the start.
func (f File) Reader() io.Reader {
	return io.NewSectionReader(readerAt{f}, 0, f.Size)
}

type readerAt struct{ file File }

// ReadAt implements io.ReaderAt within the bounds SectionReader keeps.
func (r readerAt) ReadAt(p []byte, offset int64) (int, error) {
	r.file.Fill(p, offset)
	return len(p), nil
}

func (f File) key() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", f.Path, f.Generation)
	return h.Sum64()
}

// mix is the finalizer of splitmix64: it makes neighbouring words unlike.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
