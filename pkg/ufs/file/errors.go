package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jindo-io/jindo/pkg/ufs"
)

// failed wraps an error in the act and the key, and gives it a kind of package
// ufs unless it has one.
func (s *Store) failed(act, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", act, s.where(key), s.kind(err))
}

// where returns the path of a key for messages.
func (s *Store) where(key string) string {
	if key == "" {
		return s.String()
	}
	return fmt.Sprintf("key %q of %s", key, s)
}

func (s *Store) kind(err error) error {
	switch {
	case isKind(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("no space left in %s (%w): %w", s.location.Dir, err, ufs.ErrUnavailable)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("the file system of %s is mounted read-only (%w): %w", s.location.Dir, err, ufs.ErrPermission)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("user %d lacks the right on this host (%w): %w", os.Geteuid(), err, ufs.ErrPermission)
	case strings.Contains(err.Error(), "path escapes from parent"):
		return fmt.Errorf("a symbolic link points outside of %s, and such links are not followed: %w", s.location.Dir, ufs.ErrPermission)
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.EILSEQ):
		return fmt.Errorf("%w: %w", err, ufs.ErrInvalidKey)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", err, ufs.ErrInvalid)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%w: %w", err, ufs.ErrNotFound)
	}
	return fmt.Errorf("%w: %w", err, ufs.ErrUnavailable)
}

func isKind(err error) bool {
	for _, kind := range []error{
		ufs.ErrNotFound, ufs.ErrPermission, ufs.ErrPrecondition, ufs.ErrInvalidRange,
		ufs.ErrThrottled, ufs.ErrUnavailable, ufs.ErrUnsupported, ufs.ErrInvalid,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
