package fsm

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is Pebble's on-disk format. It is a one-way ratchet: raised only
// by an event after every voter runs a release that can read it.
const formatVersion = pebble.FormatValueSeparation

// manifestBytes is the size from which on Pebble's MANIFEST is begun anew once as many
// tables were added and removed as there are: small, because Clean has to bring that about.
const manifestBytes = 4 << 10

// maxBackgroundErrors is the number of failed flushes and compactions after
// which the node stops: nothing may be acknowledged from a device that fails.
const maxBackgroundErrors = 3

func (m *Machine) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                 markerFS{m.opts.FS, m.fatal},
		DisableWAL:         true,
		FormatMajorVersion: formatVersion,
		// Memtables are reserved from the cache: what they leave is for blocks.
		CacheSize:                   80 << 20,
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		MaxManifestFileSize:         manifestBytes,
		Logger:                      pebbleLogger{log: m.opts.Log, fatal: m.fatal},
	}
	// Most reads of Apply are of rows that are not there yet.
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10) // the levels below take it over
	var failed atomic.Int32
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) {
			m.opts.Log.Error("state: background work failed", "err", err)
			if n := failed.Add(1); n >= maxBackgroundErrors {
				m.fatal(fmt.Errorf("background work failed %d times: %w", n, err))
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) { m.fatal(fmt.Errorf("%s is corrupt: %w", i.Path, i.Details)) },
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			m.opts.Log.Warn("state: writes stall", "reason", i.Reason)
		},
		CompactionBegin: m.compactions.begin,
		CompactionEnd:   m.compactions.end,
	}
	o.DisableAutomaticCompactions = m.opts.Still
	if m.opts.Tune != nil {
		m.opts.Tune(o)
	}
	// Pebble watches its disk only where it chose the file system itself. While a
	// flush hangs, Apply would wait for it for ever, and with it every request.
	o.FS, m.health = vfs.WithDiskHealthChecks(o.FS, m.opts.StallLimit, nil, func(i vfs.DiskSlowInfo) {
		m.fatal(fmt.Errorf("the disk hangs: %s of %s has not come back for %v", i.OpType, i.Path, i.Duration))
	})
	m.files = &checkpointFS{FS: o.FS}
	o.FS = m.files
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
