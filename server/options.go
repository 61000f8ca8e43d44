package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a node. One constructor takes every seam to the outside.
type Options struct {
	FS  vfs.FS
	Dir string
	// Disks are the directories that hold objects; their order is their slots.
	// Dir/disk1 if empty.
	Disks []string

	// Listeners that are open already. S3 may have any number; Admin may be nil.
	S3    []net.Listener
	Admin net.Listener
	TLS   *tls.Config // nil: plain HTTP on S3 and Admin alike
	// LinkAddress is where other nodes will find this one.
	LinkAddress string

	Region  string   // us-east-1 if empty; fixed at first start
	Domains []string // of virtual-hosted buckets

	// Root keys of the first start; generated if empty. Later they are ignored.
	RootAccessKey, RootSecretKey string
	// Keys are further accounts of the first start. Later they are ignored.
	Keys []KeySpec

	// HistoryRetention is how long superseded objects are kept, ReleaseGrace how
	// long bytes without references are; both fixed at first start.
	HistoryRetention, ReleaseGrace time.Duration

	Now    func() time.Time
	Fatal  func(error) // stops the node; never returns
	Logger *slog.Logger
	// CheckModes refuses secret files that others may read.
	CheckModes bool
	// Election is Raft's timeout; SegmentBytes and SnapshotEntries are the log's;
	// PackBytes is the size of shared packs. 0: defaults.
	Election        time.Duration
	SegmentBytes    int64
	PackBytes       uint64
	SnapshotEntries uint64
}

// Defaults of Options.
const (
	DefaultRegion           = "us-east-1"
	DefaultHistoryRetention = 24 * time.Hour
	DefaultReleaseGrace     = 15 * time.Minute
)

func (o *Options) complete() error {
	if o.FS == nil || o.Dir == "" || o.Now == nil || o.Fatal == nil {
		return errors.New("server: incomplete options")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Disks) == 0 {
		o.Disks = []string{o.FS.PathJoin(o.Dir, "disk1")}
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	return nil
}

// Version is the release of this binary, as its module and commit say.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, revision, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = " " + s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+dirty"
			}
		}
	}
	if version == "" {
		version = "(devel)"
	}
	return version + revision + dirty
}
