package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// open opens a file as the log does.
func open(path string) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoGrowSync: true, NoSync: true})
}

// content returns every key that bbolt finds, in order.
func content(db *bbolt.DB) ([]string, error) {
	var found []string
	err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				found = append(found, fmt.Sprintf("%s/%x=%x", name, k, v))
				return nil
			})
		})
	})
	return found, err
}

// visited returns every key that Verify visits.
func visited(raw []byte) (Info, []string, error) {
	var found []string
	info, err := Verify(bytes.NewReader(raw), int64(len(raw)), func(bucket, k, v []byte) error {
		found = append(found, fmt.Sprintf("%s/%x=%x", bucket, k, v))
		return nil
	})
	return info, found, err
}

// change applies a random transaction of the kinds that a log makes.
func change(db *bbolt.DB, r *rand.Rand) error {
	return db.Update(func(tx *bbolt.Tx) error {
		logs, err := tx.CreateBucketIfNotExists([]byte("logs"))
		if err != nil {
			return err
		}
		conf, err := tx.CreateBucketIfNotExists([]byte("conf"))
		if err != nil {
			return err
		}
		cursor := logs.Cursor()
		last := uint64(0)
		if k, _ := cursor.Last(); k != nil {
			last = binary.BigEndian.Uint64(k)
		}
		switch r.IntN(6) {
		case 0:
			return conf.Put([]byte("CurrentTerm"), binary.BigEndian.AppendUint64(nil, r.Uint64()))
		case 1:
			// A prefix or a suffix.
			from, to := uint64(0), last/2
			if r.IntN(2) == 0 {
				from, to = last-last/4, last
			}
			for k, _ := cursor.Seek(binary.BigEndian.AppendUint64(nil, from)); k != nil && binary.BigEndian.Uint64(k) <= to; k, _ = cursor.Next() {
				if err := cursor.Delete(); err != nil {
					return err
				}
			}
			return nil
		}
		for range r.IntN(60) {
			last++
			value := bytes.Repeat([]byte{byte(last)}, r.IntN(400))
			if r.IntN(30) == 0 {
				value = bytes.Repeat(value, 1+r.IntN(100))
			}
			if err := logs.Put(binary.BigEndian.AppendUint64(nil, last), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestVerifyReadsWhatBboltReads compares both after each of many transactions.
func TestVerifyReadsWhatBboltReads(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "db")
	db, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 200 {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := content(db)
		if err != nil {
			t.Fatal(err)
		}
		info, got, err := visited(raw)
		if err != nil || info.Metas != 2 || info.PageSize != os.Getpagesize() {
			t.Fatalf("after %d transactions: %+v, %v", i, info, err)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("after %d transactions: %d keys, bbolt reads %d", i, len(got), len(want))
		}
		if err := change(db, r); err != nil {
			t.Fatal(err)
		}
	}
}

// image returns a file after some transactions.
func image(t testing.TB, seed uint64) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for range 8 {
		if err := change(db, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestADamagedFileIsRefusedOrReadAsBboltReadsIt damages files and opens with
// bbolt what Verify accepts, in this process: a panic or a fault ends the test.
// Verify must not accept what bbolt cannot read, nor read something else.
func TestADamagedFileIsRefusedOrReadAsBboltReadsIt(t *testing.T) {
	const seed = 20
	r := rand.New(rand.NewPCG(seed, 2))
	path := filepath.Join(t.TempDir(), "db")
	refused, accepted := 0, 0
	for round := range uint64(6) {
		sound := image(t, round)
		for range 60 {
			raw := bytes.Clone(sound)
			what := spoil(r, &raw)
			_, got, err := visited(raw)
			if err != nil {
				var damage *DamageError
				if !errors.As(err, &damage) {
					t.Fatalf("seed %d, %s: %v", seed, what, err)
				}
				refused++
				continue
			}
			accepted++
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := open(path)
			if err != nil {
				t.Fatalf("seed %d, %s: accepted, but bbolt returns %v", seed, what, err)
			}
			want, err := content(db)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("seed %d, %s: %d keys, bbolt reads %d", seed, what, len(got), len(want))
			}
		}
	}
	t.Logf("%d refused, %d accepted and read alike", refused, accepted)
	if refused < 50 || accepted < 50 {
		t.Fatal("the damages are too uniform to show anything")
	}
}

// spoil damages a file and returns what it did.
func spoil(r *rand.Rand, raw *[]byte) string {
	size := os.Getpagesize()
	page := r.IntN(len(*raw) / size)
	switch r.IntN(8) {
	case 0:
		clear((*raw)[page*size : (page+1)*size])
		return fmt.Sprintf("zeroed page %d", page)
	case 1:
		*raw = (*raw)[:page*size]
		return fmt.Sprintf("truncated to %d pages", page)
	case 2:
		other := r.IntN(len(*raw) / size)
		copy((*raw)[page*size:(page+1)*size], (*raw)[other*size:(other+1)*size])
		return fmt.Sprintf("page %d replaced by page %d", page, other)
	case 3:
		at := page*size + r.IntN(8)*16
		for i := range 16 {
			(*raw)[at+i] = byte(r.Uint32())
		}
		return fmt.Sprintf("16 random bytes at %d", at)
	}
	at := page*size + r.IntN(160)
	(*raw)[at] ^= 1 << r.IntN(8)
	return fmt.Sprintf("bit of byte %d of page %d", at%size, page)
}

// TestNoPointerMakesVerifyPanicOrHang writes extreme numbers over every field of
// the reachable pages.
func TestNoPointerMakesVerifyPanicOrHang(t *testing.T) {
	sound := image(t, 3)
	for page := 2; page < len(sound)/os.Getpagesize(); page++ {
		for field := 0; field < 64; field += 4 {
			p := sound[page*os.Getpagesize()+field:]
			original := binary.LittleEndian.Uint32(p)
			for _, number := range []uint32{0, 1, 2, 3, 0xFFFF, 1 << 20, 1 << 31, 0xFFFFFFFF} {
				binary.LittleEndian.PutUint32(p, number)
				_, _ = Verify(bytes.NewReader(sound), int64(len(sound)), ignore)
			}
			binary.LittleEndian.PutUint32(p, original)
		}
	}
	// The same within valid meta pages.
	for field := 8; field < 56; field += 4 {
		for _, number := range []uint32{0, 1, 1023, 1 << 10, 1 << 12, 1 << 20, 1 << 31, 0xFFFFFFFF} {
			raw := bytes.Clone(sound)
			for page := range 2 {
				m := raw[page*os.Getpagesize()+headerSize:]
				binary.LittleEndian.PutUint32(m[field:], number)
				sum := fnv.New64a()
				_, _ = sum.Write(m[:56])
				binary.LittleEndian.PutUint64(m[56:], sum.Sum64())
			}
			_, _ = Verify(bytes.NewReader(raw), int64(len(raw)), ignore)
		}
	}
}

func ignore(_, _, _ []byte) error { return nil }

func TestMetaPages(t *testing.T) {
	sound := image(t, 4)
	size := os.Getpagesize()
	newest, _, err := visited(sound)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		spoil func(raw []byte) []byte
		metas int
		want  string
	}{
		"the newest has one bit flipped": {func(raw []byte) []byte {
			raw[int(newest.Transaction%2)*size+headerSize+56] ^= 1
			return raw
		}, 1, ""},
		"the older has one bit flipped": {func(raw []byte) []byte {
			raw[int((newest.Transaction+1)%2)*size+headerSize+20] ^= 1
			return raw
		}, 1, ""},
		"both are zero": {func(raw []byte) []byte {
			clear(raw[:2*size])
			return raw
		}, 0, "neither meta page"},
		"one is a copy of the other": {func(raw []byte) []byte {
			copy(raw[:size], raw[size:2*size])
			return raw
		}, 1, ""},
		"an empty file": {func([]byte) []byte { return nil }, 0, "empty"},
		"a file that ends within its pages": {func(raw []byte) []byte {
			return raw[:int(newest.Pages-1)*size]
		}, 0, "needs"},
	} {
		t.Run(name, func(t *testing.T) {
			info, _, err := visited(test.spoil(bytes.Clone(sound)))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil || info.Metas != test.metas {
				t.Fatalf("got %+v, %v", info, err)
			}
		})
	}
}

// failingReader returns an error of the disk for one page.
type failingReader struct {
	raw  []byte
	fail int64
}

var errDisk = errors.New("input/output error")

func (f failingReader) ReadAt(p []byte, at int64) (int, error) {
	if at <= f.fail && f.fail < at+int64(len(p)) {
		return 0, errDisk
	}
	if at >= int64(len(f.raw)) {
		return 0, io.EOF
	}
	return copy(p, f.raw[at:]), nil
}

// TestAnErrorOfTheDiskIsNotDamage: a disk that cannot be read now may be read
// later.
func TestAnErrorOfTheDiskIsNotDamage(t *testing.T) {
	sound := image(t, 5)
	var reads int
	for page := range len(sound) / os.Getpagesize() {
		_, err := Verify(failingReader{sound, int64(page * os.Getpagesize())}, int64(len(sound)), ignore)
		if err == nil {
			continue // a free page
		}
		reads++
		if !errors.Is(err, errDisk) {
			t.Errorf("page %d: %v", page, err)
		}
	}
	if reads < 3 {
		t.Fatalf("%d pages are in use", reads)
	}
}

// Used is beyond every page that was written, also when one meta page is damaged.
func TestUsedIsTheEndOfThePages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var size int64
	for i := range 50 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte{byte(i)}, make([]byte, 3000*i))
		}); err != nil {
			t.Fatal(err)
		}
		_ = db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil })
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if used, err := Used(file); err != nil || used != size {
			t.Errorf("%d bytes are used: %v, want %d", used, err, size)
		}
		file.Close()
	}
	if used, err := Used(bytes.NewReader(make([]byte, 1<<16))); err == nil {
		t.Errorf("a file of zeros uses %d bytes", used)
	}
}
