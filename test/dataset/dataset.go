// Package dataset generates files whose bytes follow from the file's name, so that
// any range of any file can be verified without other data.
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

// Sums is the name of the file with the SHA-256 of every other file, in the format
// of sha256sum -c.
const Sums = "SHA256SUMS"

// File is one file of a set.
type File struct {
	// Path is relative to the set's root, with slashes.
	Path string
	Size int64
	// Generation distinguishes the contents that a path has had.
	Generation int
}

// Options configure a set.
type Options struct {
	// Files is the number of files in the set, without Sums.
	Files int
	// Large is the number of files with LargeSize bytes.
	Large     int
	LargeSize int64
	// SmallSize is the largest size of the other files, in bytes.
	SmallSize int64
	Seed      uint64
}

// Plan returns the files of a set without writing them.
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

// Write writes the files of a set and their sums below dir.
func Write(dir string, files []File) error {
	var sums bytes.Buffer
	for _, f := range files {
		sum := sha256.New()
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
		out, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("write the data set: %w", err)
		}
		_, err = io.Copy(io.MultiWriter(out, sum), f.Reader())
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("write %s of the data set: %w", f.Path, err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), f.Path)
	}
	if err := os.WriteFile(filepath.Join(dir, Sums), sums.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the data set: %w", err)
	}
	return nil
}

// Bytes returns the total size of files.
func Bytes(files []File) int64 {
	var total int64
	for _, f := range files {
		total += f.Size
	}
	return total
}

// Fill sets p to the bytes of the file from offset on. p must not extend past the
// end of the file.
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

// Check returns an error for the first byte of p that differs from the file's bytes
// from offset on.
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

// Content returns the whole file.
func (f File) Content() []byte {
	p := make([]byte, f.Size)
	f.Fill(p, 0)
	return p
}

// Reader returns a reader of the whole file.
func (f File) Reader() io.Reader {
	return io.NewSectionReader(readerAt{f}, 0, f.Size)
}

type readerAt struct{ file File }

// ReadAt implements io.ReaderAt for a SectionReader, which keeps it in bounds.
func (r readerAt) ReadAt(p []byte, offset int64) (int, error) {
	r.file.Fill(p, offset)
	return len(p), nil
}

func (f File) key() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", f.Path, f.Generation)
	return h.Sum64()
}

// mix is the finalizer of splitmix64: neighbouring inputs have unrelated outputs.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
