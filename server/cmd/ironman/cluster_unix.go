//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownGroup keeps what a terminal sends to this process from the nodes: they are
// stopped by this process alone.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// lockPoll is how often a lock is tried that is about to be given up.
const lockPoll = 20 * time.Millisecond

// lockFile opens and locks a file that names who has it locked. The lock belongs to
// the open file, which the nodes inherit. If the process that is named is gone, its
// nodes are about to stop: they are waited for, up to limit.
func lockFile(path string, flag int, limit time.Duration, out io.Writer) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(limit)
	for told := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, writePID(f)
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
		}
		pid, alive := readPID(f)
		if alive {
			return nil, errors.Join(fmt.Errorf("another \"ironman cluster\" (pid %s) runs this cluster: %s is locked", pid, path), f.Close())
		}
		if time.Now().After(until) {
			return nil, errors.Join(fmt.Errorf("nodes of an earlier \"ironman cluster\" (pid %s) still run: %s is locked", pid, path), f.Close())
		}
		if !told {
			fmt.Fprintf(out, "nodes of an earlier \"ironman cluster\" (pid %s, gone) still stop: waiting for them\n", pid)
			told = true
		}
		time.Sleep(lockPoll)
	}
}

// readPID tells whom a lock file names, and whether that process lives. One that
// has not written its name yet does.
func readPID(f *os.File) (name string, alive bool) {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	name = strings.TrimSpace(string(b[:n]))
	pid, err := strconv.Atoi(name)
	if err != nil || pid < 1 {
		return "unknown", true
	}
	err = syscall.Kill(pid, 0)
	return name, err == nil || errors.Is(err, syscall.EPERM)
}

func writePID(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}
