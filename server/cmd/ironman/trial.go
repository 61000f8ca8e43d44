package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"ironman/server"
)

// trialFlags are hidden flags for trials: small files, so that little work makes
// many of them, and a named failpoint.
type trialFlags struct {
	segmentBytes    int64
	snapshotEntries uint64
	readsNote       time.Duration
	packBytes       uint64
	failpoint       string
	clockOffset     time.Duration
	linkSource      string
	diskMarks       bool
	point           *failpoint
}

func (f *trialFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.Int64Var(&f.segmentBytes, "log-segment-bytes", 0, "size of a log file")
	fl.Uint64Var(&f.snapshotEntries, "snapshot-entries", 0, "log entries between two snapshots")
	fl.DurationVar(&f.readsNote, "log-reads-note", 0, "how often the ledger is told how far the log of reads is")
	fl.Uint64Var(&f.packBytes, "pack-bytes", 0, "size of a shared pack")
	fl.StringVar(&f.failpoint, "failpoint", "", "NAME:N kills the process inside its N-th write, once it serves, to files of that name: log, pack, snapshot, ledger, state; NAME:N:start counts from the start")
	fl.DurationVar(&f.clockOffset, "clock-offset", 0, "how far the node's clock is to be ahead of the machine's")
	fl.StringVar(&f.linkSource, "link-source", "", "address from which other nodes' links are dialed, so that a proxy can tell who does")
	fl.BoolVar(&f.diskMarks, "disk-marks", false, "let files beside DIR and the disks' directories make those fail: DIR.readonly, DIR.full, DIR.sick")
	for _, name := range []string{"clock-offset", "disk-marks", "link-source", "log-segment-bytes", "snapshot-entries", "log-reads-note", "pack-bytes", "failpoint"} {
		_ = fl.MarkHidden(name)
	}
}

func (f *trialFlags) apply(o *server.Options) error {
	o.SegmentBytes, o.SnapshotEntries, o.PackBytes, o.ReadsNoteEvery = f.segmentBytes, f.snapshotEntries, f.packBytes, f.readsNote
	if f.diskMarks {
		o.FS = &markFS{FS: o.FS, dirs: append([]string{o.Dir}, o.Disks...)}
	}
	if f.clockOffset != 0 {
		o.Now = func() time.Time { return time.Now().Add(f.clockOffset) }
	}
	if f.linkSource != "" {
		from, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(f.linkSource, "0"))
		if err != nil {
			return fmt.Errorf("--link-source: %w", err)
		}
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			d := net.Dialer{LocalAddr: from}
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if f.failpoint == "" {
		return nil
	}
	name, count, _ := strings.Cut(f.failpoint, ":")
	count, early := strings.CutSuffix(count, ":start")
	n, err := strconv.ParseInt(count, 10, 64)
	place, ok := failpoints()[name]
	if err != nil || n < 1 || !ok {
		return fmt.Errorf("--failpoint: %q is not NAME:N", f.failpoint)
	}
	f.point = &failpoint{name: f.failpoint, place: place}
	f.point.left.Store(n)
	f.point.armed.Store(early)
	o.FS = &failFS{FS: o.FS, point: f.point}
	return nil
}

// serves begins the count of the failpoint.
func (f *trialFlags) serves() {
	if f.point != nil {
		f.point.armed.Store(true)
	}
}

// failpoints are the names and the parts of paths that they stand for.
func failpoints() map[string]string {
	return map[string]string{
		"log": "/wal/log/", "pack": "/packs/", "snapshot": "/wal/snapshots/", "ledger": "/wal/ledger/", "state": "/state/",
	}
}

// failpoint counts down and ends the process as kill -9 would.
type failpoint struct {
	name, place string
	armed       atomic.Bool
	left        atomic.Int64
}

// reached counts one operation on a file and tells whether it is the last.
func (p *failpoint) reached(path string) bool {
	return strings.Contains(path, p.place) && p.armed.Load() && p.left.Add(-1) == 0
}

// die says where, and ends the process. It does not return.
func (p *failpoint) die(what, path string) {
	fmt.Fprintf(os.Stderr, "failpoint %s: killed in %s of %s\n", p.name, what, path)
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}

// failFS is a file system with a failpoint in what changes it. A write that is
// the last leaves the first half of its bytes.
type failFS struct {
	vfs.FS
	point *failpoint
}

func (f *failFS) file(path string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &failFile{File: file, path: path, point: f.point}, nil
}

// Create implements vfs.FS.
func (f *failFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.file(name, file, err)
}

// OpenReadWrite implements vfs.FS.
func (f *failFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, o...)
	return f.file(name, file, err)
}

// OpenDir implements vfs.FS.
func (f *failFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.file(name+"/", file, err)
}

// Link implements vfs.FS.
func (f *failFS) Link(from, to string) error {
	if f.point.reached(to) {
		f.point.die("link", to)
	}
	return f.FS.Link(from, to)
}

// Rename implements vfs.FS.
func (f *failFS) Rename(from, to string) error {
	if f.point.reached(to) {
		f.point.die("rename", to)
	}
	return f.FS.Rename(from, to)
}

// Remove implements vfs.FS.
func (f *failFS) Remove(name string) error {
	if f.point.reached(name) {
		f.point.die("remove", name)
	}
	return f.FS.Remove(name)
}

// Unwrap implements vfs.FS.
func (f *failFS) Unwrap() vfs.FS { return f.FS }

type failFile struct {
	vfs.File
	path  string
	point *failpoint
}

// Write implements vfs.File.
func (f *failFile) Write(b []byte) (int, error) {
	if f.point.reached(f.path) {
		_, _ = f.File.Write(b[:len(b)/2])
		f.point.die("write", f.path)
	}
	return f.File.Write(b)
}

// WriteAt implements vfs.File.
func (f *failFile) WriteAt(b []byte, at int64) (int, error) {
	if f.point.reached(f.path) {
		_, _ = f.File.WriteAt(b[:len(b)/2], at)
		f.point.die("write", f.path)
	}
	return f.File.WriteAt(b, at)
}

// Sync implements vfs.File.
func (f *failFile) Sync() error {
	if f.point.reached(f.path) {
		f.point.die("sync", f.path)
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *failFile) SyncData() error {
	if f.point.reached(f.path) {
		f.point.die("sync", f.path)
	}
	return f.File.SyncData()
}
