package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// logBound is the size in bytes at which a log is rotated. Each component keeps
// two files.
const logBound = 16 << 20

// openLog opens the log of a component for appending, so that it can be truncated
// while the component writes to it.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return file, nil
}

// boundLog copies a log that exceeds the bound to <path>.1 and truncates it. Lines
// that are written between the two steps are lost; the writer is never blocked.
func boundLog(path string, bound int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rotate the log: %w", err)
	}
	if info.Size() <= bound {
		return nil
	}
	if err := copyFile(path, path+".1"); err != nil {
		return fmt.Errorf("rotate the log: %w", err)
	}
	if err := os.Truncate(path, 0); err != nil {
		return fmt.Errorf("rotate the log: %w", err)
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// Tail returns the last n lines of a log; none if it does not exist.
func Tail(path string, n int) ([]string, error) {
	const window = 64 << 10
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	start := max(0, info.Size()-window)
	raw, err := io.ReadAll(io.NewSectionReader(file, start, window))
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if start > 0 {
		// The first line is incomplete.
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	text := strings.TrimRight(string(raw), "\n")
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):], nil
}
