// Package boltfile verifies a bbolt file without mapping it.
//
// bbolt trusts its file: pages carry no checksum, an invalid meta page makes it
// fall back to the previous transaction without an error, and a pointer that
// was changed makes it panic, loop or fault. [Verify] reads the file with
// ordinary reads, and returns an error for every file that bbolt could not read
// to its end. Its memory is bounded by the size of the file divided by eight
// pages, plus one page run for each level of a tree.
//
// Verify proves that the file is a tree, not that it is the newest tree: the
// caller compares the content with a record kept elsewhere.
//
// The format is that of bbolt 1.3 to 1.5, little-endian:
//
//	page      id 8 | flags 2 | count 2 | overflow 4, then count elements, then
//	          the keys and values of the elements in their order
//	meta      magic 4 | version 4 | page size 4 | flags 4 | root 8 | sequence 8 |
//	          freelist 8 | high-water mark 8 | transaction 8 | fnv64a 8
//	branch    position 4 | key size 4 | page 8
//	leaf      flags 4 | position 4 | key size 4 | value size 4
//	bucket    root 8 | sequence 8, then an inline page if root is 0
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

const (
	magic      = 0xED0CDAED
	version    = 2
	noFreelist = ^uint64(0)

	headerSize  = 16
	elementSize = 16
	metaSize    = 64
	bucketSize  = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
	// maxRun is the size of the largest page run that is read into memory.
	maxRun = 256 << 20
	// maxDepth is the depth of the deepest tree. A tree of minimal pages with
	// 2^48 bytes is not as deep.
	maxDepth = 48
)

// DamageError reports that a file is not a complete bbolt file.
type DamageError struct{ What string }

func (e *DamageError) Error() string { return e.What }

func damaged(format string, args ...any) error {
	return &DamageError{What: fmt.Sprintf(format, args...)}
}

// Info describes a file that was verified.
type Info struct {
	// Metas is the number of valid meta pages: 1 or 2. With one, a write was
	// interrupted, or the newest transaction was damaged: the file alone cannot
	// tell.
	Metas int
	// Transaction is the number of the transaction that was verified.
	Transaction uint64
	// PageSize is the size of a page in bytes.
	PageSize int
	// Pages is the number of pages in use, free ones included.
	Pages uint64
}

// Visit is called for each key in a bucket at the top level, in the order of
// the keys. It must not retain its arguments.
type Visit func(bucket, key, value []byte) error

// Verify reads the newest transaction of a file of the given size and calls
// visit for every key. It returns a *DamageError for a file that is not
// complete, the error of visit, or the error of a read.
func Verify(r io.ReaderAt, size int64, visit Visit) (Info, error) {
	v := &verifier{r: r, size: size, visit: visit}
	newest, metas, err := v.metas()
	if err != nil {
		return Info{}, err
	}
	v.pageSize, v.high = int64(newest.pageSize), newest.high
	info := Info{Metas: metas, Transaction: newest.txid, PageSize: int(newest.pageSize), Pages: newest.high}
	// Division, because the product could overflow.
	if v.high > uint64(size/v.pageSize) {
		return info, damaged("the file has %d bytes, its transaction %d needs %d pages of %d", size, newest.txid, v.high, v.pageSize)
	}
	v.seen = make([]uint64, (v.high+63)/64)
	v.seen[0] = 3
	if err := v.freelist(newest.freelist); err != nil {
		return info, err
	}
	return info, v.page(newest.root, position{})
}

// Used returns the end of the pages that the newest transaction uses, in bytes.
// It may run while transactions are committed: if it meets a meta page that is
// being written, it returns the end in the transaction before, or a *DamageError.
func Used(r io.ReaderAt) (int64, error) {
	v := &verifier{r: r, size: math.MaxInt64}
	newest, _, err := v.metas()
	if err != nil {
		return 0, err
	}
	if newest.high > math.MaxInt64/maxPageSize {
		return 0, damaged("the high-water mark is %d", newest.high)
	}
	return int64(newest.high) * int64(newest.pageSize), nil
}

type verifier struct {
	r     io.ReaderAt
	size  int64
	visit Visit

	pageSize int64
	// high is the high-water mark: pages from there on are not in use.
	high uint64
	// seen has a bit for each page that was reached.
	seen []uint64
}

type meta struct {
	pageSize                   uint32
	root, freelist, high, txid uint64
}

// metas returns the valid meta page with the highest transaction, and how many
// are valid. Two valid ones are of consecutive transactions, each on the page
// that its number selects.
func (v *verifier) metas() (meta, int, error) {
	if v.size == 0 {
		return meta{}, 0, damaged("the file is empty")
	}
	first, firstErr := v.meta(0, 0)
	if firstErr != nil && !isDamage(firstErr) {
		return meta{}, 0, firstErr
	}
	if firstErr == nil {
		second, err := v.meta(int64(first.pageSize), 1)
		switch {
		case err != nil && isDamage(err):
			return first, 1, nil
		case err != nil:
			return meta{}, 0, err
		case second.pageSize != first.pageSize:
			return meta{}, 0, damaged("its meta pages have the page sizes %d and %d", first.pageSize, second.pageSize)
		case second.txid == first.txid+1:
			return second, 2, nil
		case first.txid == second.txid+1:
			return first, 2, nil
		}
		return meta{}, 0, damaged("its meta pages are of the transactions %d and %d", first.txid, second.txid)
	}
	// The position of the second meta page is the size of a page.
	for at := int64(minPageSize); at <= maxPageSize; at *= 2 {
		second, err := v.meta(at, 1)
		if err == nil && int64(second.pageSize) == at {
			return second, 1, nil
		}
		if err != nil && !isDamage(err) {
			return meta{}, 0, err
		}
	}
	return meta{}, 0, damaged("neither meta page is valid: %v", firstErr)
}

// meta reads the meta page with the given number at a position.
func (v *verifier) meta(at int64, page uint64) (meta, error) {
	raw := make([]byte, headerSize+metaSize)
	if at > v.size-int64(len(raw)) {
		return meta{}, damaged("meta page %d is beyond the end of the file", page)
	}
	if err := v.read(raw, at); err != nil {
		return meta{}, err
	}
	raw = raw[headerSize:]
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	m := meta{pageSize: u32(raw[8:]), root: u64(raw[16:]), freelist: u64(raw[32:]), high: u64(raw[40:]), txid: u64(raw[48:])}
	sum := fnv.New64a()
	_, _ = sum.Write(raw[:metaSize-8])
	switch {
	case u32(raw) != magic:
		return meta{}, damaged("meta page %d has another magic number", page)
	case u32(raw[4:]) != version:
		return meta{}, damaged("meta page %d has version %d", page, u32(raw[4:]))
	case u64(raw[56:]) != sum.Sum64():
		return meta{}, damaged("meta page %d has another checksum", page)
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return meta{}, damaged("meta page %d has the page size %d", page, m.pageSize)
	case m.txid%2 != page:
		return meta{}, damaged("meta page %d is of transaction %d", page, m.txid)
	case m.high < 4:
		return meta{}, damaged("meta page %d has the high-water mark %d", page, m.high)
	}
	return m, nil
}

// read fills p. A file that ends early is damaged.
func (v *verifier) read(p []byte, at int64) error {
	_, err := v.r.ReadAt(p, at)
	if errors.Is(err, io.EOF) {
		return damaged("the file ends before byte %d", at+int64(len(p)))
	}
	return err
}

func isDamage(err error) bool {
	var damage *DamageError
	return errors.As(err, &damage)
}
