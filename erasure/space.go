package erasure

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
)

// Reserve is how many bytes of a file system are to stay free, so that deletes, the
// collector, log and state can always go on. 0: the default, 2 GiB or a twentieth
// of the file system, whichever is less. NoReserve: none.
type Reserve int64

// NoReserve fills a file system to the last byte.
const NoReserve Reserve = -1

// Of is the reserve on a file system of total bytes.
func (r Reserve) Of(total uint64) uint64 {
	switch {
	case r < 0:
		return 0
	case r == 0:
		return min(2<<30, total/20)
	}
	return uint64(r)
}

// ParseReserve reads a number of bytes as ParseBytes does; "" is the default, 0 is none.
func ParseReserve(s string) (Reserve, error) {
	if s == "" {
		return 0, nil
	}
	n, err := ParseBytes(s)
	return cmp.Or(Reserve(n), NoReserve), err
}

// ParseBytes reads a number of bytes with an optional unit (KiB, MiB, GiB, TiB, PiB, kB,
// KB, MB, GB, TB, PB).
func ParseBytes(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, u := range []struct {
		name  string
		bytes int64
	}{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50},
		{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15},
	} {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%w: %q is not a number of bytes, such as 500MiB", ErrInvalid, s)
	}
	return n * unit, nil
}

// SpaceEvery is how often free space is to be measured.
const SpaceEvery = time.Second

// Space watches the free bytes of the file system that a directory is on. Asking is
// cheap: what it tells is what the last measurement found. Safe for concurrent use.
type Space struct {
	fs      vfs.FS
	dir     string
	reserve Reserve
	log     *slog.Logger

	low     atomic.Bool   // below the reserve
	free    atomic.Uint64 // bytes, as last measured
	total   atomic.Uint64 // bytes of the file system, then
	known   atomic.Bool   // free was measured
	written atomic.Uint64 // bytes since then
	step    atomic.Uint64 // so many of them ask for another measurement

	turning sync.Mutex // one measurement at a time
}

// NewSpace begins to watch; log is told when the reserve is reached and left. Where
// the file system cannot tell its free space, there is none to watch.
func NewSpace(fs vfs.FS, dir string, r Reserve, log *slog.Logger) *Space {
	s := &Space{fs: fs, dir: dir, reserve: r, log: log}
	s.step.Store(math.MaxUint64)
	s.Measure()
	return s
}

// Measure reads the free space anew. An error leaves what was known: a disk that
// cannot even tell that shows it elsewhere, too.
func (s *Space) Measure() (supported bool) {
	s.turning.Lock()
	defer s.turning.Unlock()
	return s.measure()
}

func (s *Space) measure() (supported bool) {
	u, err := s.fs.GetDiskUsage(s.dir)
	if err != nil || u.TotalBytes == 0 {
		return err == nil || !errors.Is(err, vfs.ErrUnsupported)
	}
	reserve := s.reserve.Of(u.TotalBytes)
	s.free.Store(u.AvailBytes)
	s.total.Store(u.TotalBytes)
	s.known.Store(true)
	s.written.Store(0)
	s.step.Store(max(reserve/8, 1<<20))
	switch was := s.low.Load(); {
	case !was && u.AvailBytes < reserve:
		s.low.Store(true)
		s.log.Warn("space: free space is below the reserve: nothing new is stored here, deletes go on",
			"dir", s.dir, "free", u.AvailBytes, "reserve", reserve)
	case was && u.AvailBytes >= reserve+reserve/8: // not to and fro with each byte
		s.low.Store(false)
		s.log.Info("space: there is free space above the reserve again", "dir", s.dir, "free", u.AvailBytes, "reserve", reserve)
	}
	return true
}

// Low tells whether free space is below the reserve.
func (s *Space) Low() bool { return s.low.Load() && !sabotage.On(sabotage.X45) }

// Free is the number of free bytes when they were last measured; false: not known.
func (s *Space) Free() (uint64, bool) { return s.free.Load(), s.known.Load() }

// Short tells whether less is free than a mark above the reserve, at which room is to be
// made early; the mark 0 is twice the reserve. It is false where nothing is known.
func (s *Space) Short(mark Reserve) bool {
	free, known := s.Free()
	total := s.total.Load()
	if mark == 0 {
		return known && free/2 < s.reserve.Of(total)
	}
	return known && free < mark.Of(total)
}

// Watch measures every SpaceEvery until stop is closed.
func (s *Space) Watch(stop <-chan struct{}) {
	tick := time.NewTicker(SpaceEvery)
	defer tick.Stop()
	for s.Measure() {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// wrote notes bytes that were written here. A fast writer must not have used up the
// reserve before the next tick, so enough of them are a reason to look at once.
func (s *Space) wrote(n int) {
	if s.written.Add(uint64(n)) >= s.step.Load() && s.turning.TryLock() {
		s.measure()
		s.turning.Unlock()
	}
}

// room is ErrNoSpace if the disk is below its reserve.
func (d *localDisk) room() error {
	if !d.space.Low() {
		return nil
	}
	return fmt.Errorf("%w: disk %d is below its reserve", ErrNoSpace, d.id.Number)
}
