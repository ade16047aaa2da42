package wire

import (
	"fmt"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// maxPart is the highest number of a part in OSS and S3.
const maxPart = 10000

// CheckPart refuses numbers that no store takes.
func CheckPart(n int) error {
	if n < 1 || n > maxPart {
		return fmt.Errorf("part number %d is not within 1 to %d: %w", n, maxPart, ufs.ErrInvalid)
	}
	return nil
}

// CheckParts refuses lists that no store joins, and answers the whole size.
func CheckParts(parts []ufs.Part) (int64, error) {
	if len(parts) == 0 {
		return 0, fmt.Errorf("an upload needs a part: %w", ufs.ErrInvalid)
	}
	size, last := int64(0), 0
	for _, part := range parts {
		if err := CheckPart(part.Number); err != nil {
			return 0, err
		}
		if part.Number <= last {
			return 0, fmt.Errorf("part %d comes after part %d: %w", part.Number, last, ufs.ErrInvalid)
		}
		last = part.Number
		size += part.Size
	}
	return size, nil
}
