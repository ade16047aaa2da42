package boltfile

import (
	"bytes"
	"encoding/binary"
)

// position is where a page is in the tree.
type position struct {
	// bucket is the name of the bucket, nil for the top level.
	bucket []byte
	depth  int
	// The keys of the page are at least low and below high; a nil high is
	// unbounded.
	low, high []byte
}

// element is an element of a branch or leaf page.
type element struct {
	key, value []byte
	bucket     bool
	// page is that of a child of a branch.
	page uint64
}

// page verifies a page of a tree and everything below it.
func (v *verifier) page(id uint64, at position) error {
	if at.depth > maxDepth {
		return damaged("page %d is more than %d levels deep", id, maxDepth)
	}
	run, err := v.run(id)
	if err != nil {
		return err
	}
	elements, branch, err := parse(run, id)
	if err != nil {
		return err
	}
	if want := len(run) / int(v.pageSize); !fits(elements, want, int(v.pageSize)) {
		return damaged("page %d has %d pages, which its content does not need", id, want)
	}
	if !branch {
		return v.leaf(elements, id, at)
	}
	if len(elements) == 0 {
		return damaged("branch page %d is empty", id)
	}
	for i, e := range elements {
		below := position{bucket: at.bucket, depth: at.depth + 1, low: e.key, high: at.high}
		if i+1 < len(elements) {
			below.high = elements[i+1].key
		}
		if err := ordered(id, i, e.key, elements, at); err != nil {
			return err
		}
		if err := v.page(e.page, below); err != nil {
			return err
		}
	}
	return nil
}

// run reads a page with the pages that continue it, and marks them as reached.
func (v *verifier) run(id uint64) ([]byte, error) {
	if id < 2 || id >= v.high {
		return nil, damaged("page %d is referred to, but pages end at %d", id, v.high)
	}
	header := make([]byte, headerSize)
	if err := v.read(header, int64(id)*v.pageSize); err != nil {
		return nil, err
	}
	overflow := uint64(binary.LittleEndian.Uint32(header[12:]))
	switch {
	case binary.LittleEndian.Uint64(header) != id:
		return nil, damaged("page %d has the number %d", id, binary.LittleEndian.Uint64(header))
	case overflow >= v.high-id:
		return nil, damaged("page %d continues for %d pages, but pages end at %d", id, overflow, v.high)
	case int64(overflow+1) > maxRun/v.pageSize:
		return nil, damaged("page %d continues for %d pages, more than an entry can have", id, overflow)
	}
	for p := id; p <= id+overflow; p++ {
		if v.seen[p/64]&(1<<(p%64)) != 0 {
			return nil, damaged("page %d is referred to twice", p)
		}
		v.seen[p/64] |= 1 << (p % 64)
	}
	run := make([]byte, int64(overflow+1)*v.pageSize)
	return run, v.read(run, int64(id)*v.pageSize)
}

// parse decodes the elements of a page, whose keys and values follow the
// elements in their order without a gap. It returns whether it is a branch.
func parse(raw []byte, id uint64) ([]element, bool, error) {
	flags, count := binary.LittleEndian.Uint16(raw[8:]), int(binary.LittleEndian.Uint16(raw[10:]))
	if flags != flagBranch && flags != flagLeaf {
		return nil, false, damaged("page %d is neither branch nor leaf, but of type %#x", id, flags)
	}
	branch := flags == flagBranch
	next := uint64(headerSize + count*elementSize)
	if next > uint64(len(raw)) {
		return nil, false, damaged("page %d has %d elements, which it cannot hold", id, count)
	}
	elements := make([]element, count)
	for i := range elements {
		at := uint64(headerSize + i*elementSize)
		u32 := func(offset uint64) uint64 { return uint64(binary.LittleEndian.Uint32(raw[at+offset:])) }
		var position, key, value uint64
		if branch {
			position, key = u32(0), u32(4)
			elements[i].page = binary.LittleEndian.Uint64(raw[at+8:])
		} else {
			position, key, value = u32(4), u32(8), u32(12)
			if u32(0) > flagBucket {
				return nil, false, damaged("element %d of page %d has the flags %#x", i, id, u32(0))
			}
			elements[i].bucket = u32(0) == flagBucket
		}
		if at+position != next || key == 0 || next+key+value > uint64(len(raw)) {
			return nil, false, damaged("element %d of page %d is at %d with %d and %d bytes, which is not where it can be", i, id, position, key, value)
		}
		elements[i].key = raw[next : next+key]
		elements[i].value = raw[next+key : next+key+value]
		next += key + value
	}
	return elements, branch, nil
}

// fits reports whether elements need the given number of pages. Versions before
// 1.4 allocate one more when the content ends with a page.
func fits(elements []element, pages, pageSize int) bool {
	used := headerSize
	for _, e := range elements {
		used += elementSize + len(e.key) + len(e.value)
	}
	return pages == (used+pageSize-1)/pageSize || pages == used/pageSize+1
}

// ordered returns an error unless the key of element i is above the one before
// it and within the bounds of the page.
func ordered(id uint64, i int, key []byte, elements []element, at position) error {
	if i > 0 && bytes.Compare(elements[i-1].key, key) >= 0 {
		return damaged("the keys of page %d are not in order at element %d", id, i)
	}
	if bytes.Compare(key, at.low) < 0 || at.high != nil && bytes.Compare(key, at.high) >= 0 {
		return damaged("key %d of page %d belongs to another page", i, id)
	}
	return nil
}

// leaf verifies the elements of a leaf page, and visits them.
func (v *verifier) leaf(elements []element, id uint64, at position) error {
	for i, e := range elements {
		if err := ordered(id, i, e.key, elements, at); err != nil {
			return err
		}
		if at.bucket != nil {
			if e.bucket {
				return damaged("page %d has a bucket within a bucket", id)
			}
			if err := v.visit(at.bucket, e.key, e.value); err != nil {
				return err
			}
			continue
		}
		if !e.bucket {
			return damaged("page %d has a key outside of buckets", id)
		}
		if err := v.bucket(e, id, at.depth); err != nil {
			return err
		}
	}
	return nil
}

// bucket verifies the bucket of an element at the top level.
func (v *verifier) bucket(e element, id uint64, depth int) error {
	if len(e.value) < bucketSize {
		return damaged("bucket %q on page %d has %d bytes", e.key, id, len(e.value))
	}
	inside := position{bucket: e.key, depth: depth + 1}
	if root := binary.LittleEndian.Uint64(e.value); root != 0 {
		if len(e.value) != bucketSize {
			return damaged("bucket %q on page %d has %d bytes", e.key, id, len(e.value))
		}
		return v.page(root, inside)
	}
	if len(e.value) < bucketSize+headerSize {
		return damaged("bucket %q on page %d has %d bytes", e.key, id, len(e.value))
	}
	elements, branch, err := parse(e.value[bucketSize:], id)
	if err != nil {
		return err
	}
	if branch {
		return damaged("bucket %q on page %d is inline, but a branch", e.key, id)
	}
	return v.leaf(elements, id, inside)
}

// freelist verifies the list of free pages of a file that has one.
func (v *verifier) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	run, err := v.run(id)
	if err != nil {
		return err
	}
	if flags := binary.LittleEndian.Uint16(run[8:]); flags != flagFreelist {
		return damaged("page %d is not the list of free pages, but of type %#x", id, flags)
	}
	list, count := run[headerSize:], uint64(binary.LittleEndian.Uint16(run[10:]))
	if count == 0xFFFF {
		count, list = binary.LittleEndian.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return damaged("the list of free pages has %d elements, which it cannot hold", count)
	}
	for i := range count {
		free := binary.LittleEndian.Uint64(list[8*i:])
		if free < 2 || free >= v.high {
			return damaged("page %d is free, but pages end at %d", free, v.high)
		}
		if v.seen[free/64]&(1<<(free%64)) != 0 {
			return damaged("page %d is in use and free", free)
		}
		v.seen[free/64] |= 1 << (free % 64)
	}
	return nil
}
