package dirstore

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// options of a small database that can be lost.
func (t *table) options(fs vfs.FS) *pebble.Options {
	logger := pebbleLogger{t.logger}
	return &pebble.Options{
		FS:                    fs,
		Logger:                logger,
		FormatMajorVersion:    pebble.FormatNewest,
		CacheSize:             8 << 20,
		MemTableSize:          4 << 20,
		MaxOpenFiles:          128,
		L0CompactionThreshold: 4,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { logger.Errorf("%v", err) },
			// A damaged file shows as an error to whoever reads it, which
			// empties the database; without this the process would end.
			DataCorruption: func(info pebble.DataCorruptionInfo) { logger.Errorf("%v", info) },
		},
	}
}

// pebbleLogger passes on what the database says. It never ends the process:
// what Pebble takes for fatal is a failing disk, and the guard below Pebble
// empties the database then.
type pebbleLogger struct{ logger *slog.Logger }

var _ pebble.Logger = pebbleLogger{}

// Infof is for the curious only.
func (l pebbleLogger) Infof(format string, args ...any) {
	l.logger.Debug("directory store: " + fmt.Sprintf(format, args...))
}

// Errorf tells of what costs cached listings, nothing else.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Warn("directory store: " + fmt.Sprintf(format, args...))
}

// Fatalf returns; see pebbleLogger.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.logger.Error("directory store: " + fmt.Sprintf(format, args...))
}
