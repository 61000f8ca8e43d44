package fsm

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// formatVersion is Pebble's on-disk format. It is a one-way ratchet: raised only
// by an event after every voter runs a release that can read it.
const formatVersion = pebble.FormatValueSeparation

// maxBackgroundErrors is the number of failed flushes and compactions after
// which the node stops: nothing may be acknowledged from a device that fails.
const maxBackgroundErrors = 3

func (m *Machine) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          m.opts.FS,
		DisableWAL:                  true,
		FormatMajorVersion:          formatVersion,
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		Logger:                      pebbleLogger{log: m.opts.Log, fatal: m.fatal},
	}
	cache := pebble.NewCache(32 << 20)
	defer cache.Unref() // Open takes its own reference
	o.Cache = cache
	var background int
	o.EventListener = &pebble.EventListener{
		// Called one at a time by Pebble's own goroutines.
		BackgroundError: func(err error) {
			m.opts.Log.Error("state: background work failed", "err", err)
			if background++; background >= maxBackgroundErrors {
				m.fatal(fmt.Errorf("background work failed %d times: %w", background, err))
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) { m.fatal(fmt.Errorf("corrupt: %s", i)) },
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			m.opts.Log.Warn("state: writes stall", "reason", i.Reason)
		},
	}
	if m.opts.Tune != nil {
		m.opts.Tune(o)
	}
	return o
}

// pebbleLogger passes Pebble's words on. Fatalf must never return: Pebble goes on
// as if the write had happened.
type pebbleLogger struct {
	log   *slog.Logger
	fatal func(error)
}

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug("state: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("state: " + fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.fatal(fmt.Errorf(format, args...))
	panic("fsm: Fatal returned")
}
