package dirstore

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// options returns the options of a small database whose loss is acceptable.
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
			// The read of a damaged file fails, which empties the database.
			// Without this function Pebble would end the process.
			DataCorruption: func(info pebble.DataCorruptionInfo) { logger.Errorf("%v", info) },
		},
	}
}

// pebbleLogger logs the messages of Pebble. It never ends the process: what
// Pebble considers fatal is a failing disk, after which failsafeFS has the
// database emptied.
type pebbleLogger struct{ logger *slog.Logger }

var _ pebble.Logger = pebbleLogger{}

// Infof logs at debug level.
func (l pebbleLogger) Infof(format string, args ...any) {
	l.logger.Debug("directory store: " + fmt.Sprintf(format, args...))
}

// Errorf logs a warning: such errors cost cached listings only.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Warn("directory store: " + fmt.Sprintf(format, args...))
}

// Fatalf logs and returns; see pebbleLogger.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.logger.Error("directory store: " + fmt.Sprintf(format, args...))
}
