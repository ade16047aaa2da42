//go:build !linux

package consensus

import (
	"errors"
	"math"
	"os"
)

// fileSystem reports unlimited space where it is not measured.
func fileSystem(string) (size, free uint64, err error) {
	return math.MaxUint64 / 4, math.MaxUint64 / 4, nil
}

func allocate(string, int64) error { return errors.ErrUnsupported }

func allocateBeyond(*os.File, int64, int64) error { return errors.ErrUnsupported }
