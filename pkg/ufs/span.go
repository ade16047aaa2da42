package ufs

import "fmt"

// ClampRange returns the number of bytes that r selects in an object of a size.
// A range that starts at or past the end is ErrInvalidRange, except one that
// starts at 0 of an empty object and reads to the end.
func ClampRange(r Range, size int64) (int64, error) {
	if r.Offset < 0 || r.Length < -1 {
		return 0, fmt.Errorf("range of %d bytes at %d: %w", r.Length, r.Offset, ErrInvalid)
	}
	if r.Length == 0 || r.Offset == 0 && size == 0 {
		return 0, nil
	}
	if r.Offset >= size {
		return 0, fmt.Errorf("range at %d of an object of %d bytes: %w", r.Offset, size, ErrInvalidRange)
	}
	if r.Length == -1 || r.Length > size-r.Offset {
		return size - r.Offset, nil
	}
	return r.Length, nil
}
