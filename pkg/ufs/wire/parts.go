package wire

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// maxPart is the highest part number of OSS and S3.
const maxPart = 10000

// CheckPart returns an error for a part number that no store accepts.
func CheckPart(n int) error {
	if n < 1 || n > maxPart {
		return fmt.Errorf("part number %d is not within 1 to %d: %w", n, maxPart, ufs.ErrInvalid)
	}
	return nil
}

// CheckParts returns the total size of the parts, and an error if no store can
// join them.
func CheckParts(parts []ufs.Part) (int64, error) {
	if len(parts) == 0 {
		return 0, fmt.Errorf("an upload requires at least one part: %w", ufs.ErrInvalid)
	}
	size, last := int64(0), 0
	for _, part := range parts {
		if err := CheckPart(part.Number); err != nil {
			return 0, err
		}
		if part.Number <= last {
			return 0, fmt.Errorf("part %d follows part %d: %w", part.Number, last, ufs.ErrInvalid)
		}
		last = part.Number
		size += part.Size
	}
	return size, nil
}
