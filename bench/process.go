package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// clockTick is the unit of processor time in /proc: USER_HZ, 100 on every platform
// that Linux runs Go on (proc(5)).
const clockTick = 10 * time.Millisecond

// usage is what processes have used since they began.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes, now
	peak     int64 // bytes, the most it ever was
	dirtied  int64 // bytes of page cache made dirty
	writes   int64 // system calls that write
	io       bool  // the two above are known
}

// readUsage adds up what processes have used. proc is where procfs is mounted.
func readUsage(proc string, pids []int) (usage, error) {
	sum := usage{io: true}
	for _, pid := range pids {
		u, err := readProcess(filepath.Join(proc, strconv.Itoa(pid)))
		if err != nil {
			return usage{}, fmt.Errorf("process %d: %w", pid, err)
		}
		sum.cpu += u.cpu
		sum.resident += u.resident
		sum.peak += u.peak
		sum.dirtied += u.dirtied
		sum.writes += u.writes
		sum.io = sum.io && u.io
	}
	return sum, nil
}

func readProcess(dir string) (usage, error) {
	var u usage
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, err
	}
	if u.cpu, err = parseStat(b); err != nil {
		return u, err
	}
	if b, err = os.ReadFile(filepath.Join(dir, "status")); err != nil {
		return u, err
	}
	u.resident, _ = field(b, "VmRSS") // a kernel thread or a zombie has none
	u.peak, _ = field(b, "VmHWM")
	u.resident, u.peak = u.resident*kib, u.peak*kib
	// Only the owner of a process may read its io.
	if b, err = os.ReadFile(filepath.Join(dir, "io")); err == nil {
		var ok1, ok2 bool
		u.dirtied, ok1 = field(b, "write_bytes")
		u.writes, ok2 = field(b, "syscw")
		u.io = ok1 && ok2
	}
	return u, nil
}

// parseStat reads the processor time out of /proc/PID/stat: utime and stime, the
// 14th and 15th field. The second is the program's name in parentheses, which may
// hold spaces and parentheses itself.
func parseStat(b []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(b, ')')
	fields := bytes.Fields(b[i+1:])
	if i < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("stat is not what it should be: %q", clip(string(b), 80))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// field reads the number of a line "name: number ...".
func field(b []byte, name string) (int64, bool) {
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte(name+":"))
		if !ok {
			continue
		}
		if f := bytes.Fields(rest); len(f) > 0 {
			n, err := strconv.ParseInt(string(f[0]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
