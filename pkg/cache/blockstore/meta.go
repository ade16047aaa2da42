package blockstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// The format of the sidecar; all integers are little-endian:
//
//	0   magic "JINDOBLK"
//	8   format version u16, flags u16 (1: held for another worker, 2: node copy)
//	12  length of the header u32, checksum included
//	16  block size u32, reserved u32
//	24  size of the object u64
//	32  created, nanoseconds since 1970 u64
//	40  lengths of mount, key and etag u32 each, then their bytes
//	    crc32c of everything before u32
//	    zeros up to a multiple of 8
//	    seal: one slot
//	    one slot per block
//
// A slot is a value u32 and a check u32.
const (
	metaMagic   = "JINDOBLK"
	metaVersion = 1
	slotSize    = 8
	// sealMark is the value of the seal's slot.
	sealMark      = 0x4c414553
	sealIndex     = ^uint64(0)
	fixedSize     = 52
	lengthsAt     = 40
	flagTemporary = 1
	flagCopied    = 2
)

// errMeta means that a sidecar cannot be used.
var errMeta = errors.New("not a sidecar of this format")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the crc32c of p.
func checksum(p []byte) uint32 { return checksumOf(0, p) }

// checksumOf returns the crc32c of bytes whose checksum is sum, followed by p.
func checksumOf(sum uint32, p []byte) uint32 { return crc32.Update(sum, castagnoli, p) }

// meta is the content of a sidecar.
type meta struct {
	key       Key
	blockSize int64
	temporary bool
	copied    bool
	created   int64
	sealed    bool
	present   bitmap
	crcs      []uint32
}

// encodeHeader returns the start of a sidecar, and the checksum that its slots
// are bound to.
func encodeHeader(m meta) ([]byte, uint32) {
	key, flags := m.key, uint16(0)
	if m.temporary {
		flags |= flagTemporary
	}
	if m.copied {
		flags |= flagCopied
	}
	b := make([]byte, 0, fixedSize+len(key.Mount)+len(key.Key)+len(key.ETag)+12)
	b = append(b, metaMagic...)
	b = binary.LittleEndian.AppendUint16(b, metaVersion)
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(headerLength(key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(m.blockSize))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(key.Size))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.created))
	for _, s := range []string{key.Mount, key.Key, key.ETag} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	}
	b = append(append(append(b, key.Mount...), key.Key...), key.ETag...)
	sum := checksum(b)
	b = binary.LittleEndian.AppendUint32(b, sum)
	for len(b)%slotSize != 0 {
		b = append(b, 0)
	}
	return b, sum
}

func headerLength(key Key) int {
	return fixedSize + len(key.Mount) + len(key.Key) + len(key.ETag) + 4
}

// sealOffset returns the offset of the seal's slot.
func sealOffset(key Key) int64 {
	return int64((headerLength(key) + slotSize - 1) / slotSize * slotSize)
}

func slotOffset(key Key, block int64) int64 { return sealOffset(key) + slotSize*(1+block) }

// metaSize returns the length of a complete sidecar.
func metaSize(key Key, blocks int64) int64 { return slotOffset(key, blocks) }

func appendSlot(b []byte, sum uint32, index uint64, value uint32) []byte {
	b = binary.LittleEndian.AppendUint32(b, value)
	return binary.LittleEndian.AppendUint32(b, slotCheck(sum, index, value))
}

func slotCheck(sum uint32, index uint64, value uint32) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], sum)
	binary.LittleEndian.PutUint64(b[4:], index)
	binary.LittleEndian.PutUint32(b[12:], value)
	// Never 0, so that a hole in the file is not a slot.
	return checksum(b[:]) | 1
}

// readSlot returns the value of a slot, and whether the slot is valid.
func readSlot(b []byte, sum uint32, index uint64) (uint32, bool) {
	if len(b) < slotSize {
		return 0, false
	}
	value := binary.LittleEndian.Uint32(b)
	return value, binary.LittleEndian.Uint32(b[4:]) == slotCheck(sum, index, value)
}

// decodeMeta decodes a sidecar. A damaged header is an error, a damaged slot is
// a missing block, and a seal without all blocks is ignored.
func decodeMeta(b []byte) (meta, error) {
	m, sum, err := decodeHeader(b)
	if err != nil {
		return meta{}, err
	}
	blocks := blocksOf(m.key.Size, m.blockSize)
	if blocks > maxBlocks {
		return meta{}, fmt.Errorf("%d blocks: %w", blocks, errMeta)
	}
	m.present, m.crcs = newBitmap(blocks), make([]uint32, blocks)
	for i := range blocks {
		at := slotOffset(m.key, i)
		if at >= int64(len(b)) {
			break
		}
		if crc, ok := readSlot(b[at:], sum, uint64(i)); ok {
			m.present.set(i)
			m.crcs[i] = crc
		}
	}
	if at := sealOffset(m.key); at < int64(len(b)) {
		value, ok := readSlot(b[at:], sum, sealIndex)
		m.sealed = ok && value == sealMark && m.present.count() == blocks
	}
	return m, nil
}

func decodeHeader(b []byte) (meta, uint32, error) {
	fail := func(why string) (meta, uint32, error) {
		return meta{}, 0, fmt.Errorf("%s: %w", why, errMeta)
	}
	if len(b) < fixedSize || string(b[:8]) != metaMagic {
		return fail("no magic")
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != metaVersion {
		return fail(fmt.Sprintf("format version %d", v))
	}
	length := int64(binary.LittleEndian.Uint32(b[12:]))
	if length < fixedSize+4 || length > int64(len(b)) {
		return fail("torn header")
	}
	sum := checksum(b[:length-4])
	if sum != binary.LittleEndian.Uint32(b[length-4:]) {
		return fail("header checksum")
	}
	m := meta{
		key:       Key{Size: int64(binary.LittleEndian.Uint64(b[24:]))},
		blockSize: int64(binary.LittleEndian.Uint32(b[16:])),
		temporary: binary.LittleEndian.Uint16(b[10:])&flagTemporary != 0,
		copied:    binary.LittleEndian.Uint16(b[10:])&flagCopied != 0,
		created:   int64(binary.LittleEndian.Uint64(b[32:])),
	}
	rest := b[fixedSize : length-4]
	for i, field := range []*string{&m.key.Mount, &m.key.Key, &m.key.ETag} {
		n := binary.LittleEndian.Uint32(b[lengthsAt+4*i:])
		if int64(n) > int64(len(rest)) {
			return fail("field lengths")
		}
		*field, rest = string(rest[:n]), rest[n:]
	}
	if len(rest) != 0 || m.blockSize < minBlockSize || m.key.Validate() != nil {
		return fail("fields")
	}
	return m, sum, nil
}

// bitmap is a set of blocks.
type bitmap []uint64

func newBitmap(n int64) bitmap { return make(bitmap, (n+63)/64) }

func (m bitmap) set(i int64)      { m[i/64] |= 1 << (i % 64) }
func (m bitmap) has(i int64) bool { return m[i/64]&(1<<(i%64)) != 0 }

func (m bitmap) count() int64 {
	var n int
	for _, word := range m {
		n += bits.OnesCount64(word)
	}
	return int64(n)
}

// Blocks of a version.
const (
	// DefaultBlockSize is the unit that is fetched, verified and recorded.
	DefaultBlockSize = int64(1) << 20
	minBlockSize     = 1 << 9
	// maxBlocks of a cached version; a larger one is never cached.
	maxBlocks = int64(1) << 20
)

func blocksOf(size, blockSize int64) int64 { return (size + blockSize - 1) / blockSize }
