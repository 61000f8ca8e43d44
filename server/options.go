package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/erasure"
	"ironman/s3api/sig"
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

	// Link listens for other nodes; nil for a node that is to stay alone. Dial
	// connects to their links, LinkAddress is where they find this one's.
	Link        net.Listener
	LinkAddress string
	Dial        func(ctx context.Context, address string) (net.Conn, error)
	// LinkPlain leaves out TLS, and with it all protection. For simulation only.
	LinkPlain bool
	// Join is the link of any member of the cluster that a new node joins; empty for
	// the first node of a new cluster. It is ignored once the node is a member.
	Join string
	// JoinSecret is what a node must know to join; zero: nobody may.
	JoinSecret sig.Secret

	Region  string   // us-east-1 if empty; fixed at first start
	Domains []string // of virtual-hosted buckets
	// WebsiteDomains are those under which buckets are served as websites.
	WebsiteDomains []string

	// Root keys of the first start; generated if empty. Later they are ignored.
	RootAccessKey, RootSecretKey string
	// Keys are further accounts of the first start. Later they are ignored.
	Keys []KeySpec

	// HistoryRetention is how long superseded objects are kept, ReleaseGrace how
	// long bytes without references are; both are those of the first start, and the
	// first can be changed later (SetRetention).
	HistoryRetention, ReleaseGrace time.Duration

	// HistoryMark is how much is to be free on the file systems of Dir and of each disk:
	// where a leader has less, the oldest history goes early, but for that of strict
	// buckets and what is younger than HistoryFloor. 0: twice the reserve, and an hour.
	HistoryMark  erasure.Reserve
	HistoryFloor time.Duration

	// PackGrace is how long a sealed pack must have been seen without live shards before
	// its release is proposed: it may hold shards whose event is still on its way. 0: 15
	// minutes.
	PackGrace time.Duration

	// Reserve stays free on the file systems of Dir and of each disk: below it
	// nothing new is stored, so that deletes and the node itself can go on.
	Reserve erasure.Reserve

	Now   func() time.Time
	Fatal func(error) // stops the node; never returns
	// Restart ends the process, to begin again at once with what is on disk. It never
	// returns. Fatal if nil.
	Restart func(reason string)
	Logger  *slog.Logger
	// CheckModes refuses secret files that others may read.
	CheckModes bool
	// Election is Raft's timeout; SegmentBytes, SnapshotEntries and ScrubEvery are the
	// log's; PackBytes is the size of shared packs. 0: defaults.
	Election        time.Duration
	SegmentBytes    int64
	PackBytes       uint64
	SnapshotEntries uint64
	ScrubEvery      time.Duration
	// BodyIdle is how long a body may stand still before its client is let go; 0: a minute.
	BodyIdle time.Duration

	// KMSKeys are the ids of keys that objects may be encrypted with by SSE-KMS; one
	// that ends in "*" stands for all with that beginning. Every node must have the same.
	KMSKeys []string
	// AllowInsecureSSEC takes the keys of SSE-C over connections without TLS, too.
	AllowInsecureSSEC bool

	// MaxUploads is how many multipart uploads may be open in a bucket; 0: the default.
	MaxUploads uint64

	// RefuseV2 refuses signatures of version 2.
	RefuseV2 bool

	// Webhooks are the targets of notifications, by name, the same on every node. Unless
	// NotifyPrivate is set, none is reached at an address that is not public.
	Webhooks      map[string]Webhook
	NotifyPrivate bool

	// WebIdentity takes tokens of OpenID Connect providers for sessions of roles, which the
	// node asks for their keys; WebIdentityInsecure asks them over plain HTTP and at
	// addresses that are not public, too.
	WebIdentity, WebIdentityInsecure bool

	// AccessLogEvery is how often access logs are delivered, AccessLogBytes the most memory
	// that lines take which are not delivered yet. 0: defaults.
	AccessLogEvery time.Duration
	AccessLogBytes int

	// LogReads keeps a record of every read of object data in a Merkle log of this node's
	// own; LogReadsKeep is how long, 0: for ever. ReadsNoteEvery is how often the ledger is
	// told how far it is; 0: a minute.
	LogReads       bool
	LogReadsKeep   time.Duration
	ReadsNoteEvery time.Duration

	// LifecycleDay is how long a day is to lifecycle rules; 0: a day. For tests, and the
	// same on every node.
	LifecycleDay time.Duration
}

// Defaults of Options.
const (
	DefaultRegion           = "us-east-1"
	DefaultHistoryRetention = 24 * time.Hour
	DefaultHistoryFloor     = time.Hour
	DefaultReleaseGrace     = 15 * time.Minute
	DefaultPackGrace        = 15 * time.Minute
	DefaultReadsNoteEvery   = time.Minute
)

// clusterElection is Raft's timeout of a node that has, or may get, peers: followers
// answer heartbeats behind their fsyncs, which must not be taken for a loss.
const clusterElection = time.Second

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
	if o.PackGrace <= 0 {
		o.PackGrace = DefaultPackGrace
	}
	if o.HistoryFloor <= 0 {
		o.HistoryFloor = DefaultHistoryFloor
	}
	if o.LifecycleDay <= 0 {
		o.LifecycleDay = DefaultLifecycleDay
	}
	if o.AccessLogEvery <= 0 {
		o.AccessLogEvery = DefaultAccessLogEvery
	}
	if o.AccessLogBytes <= 0 {
		o.AccessLogBytes = DefaultAccessLogBytes
	}
	if o.ReadsNoteEvery <= 0 {
		o.ReadsNoteEvery = DefaultReadsNoteEvery
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.Restart == nil {
		fatal := o.Fatal
		o.Restart = func(reason string) { fatal(errors.New("server: " + reason)) }
	}
	if o.Link == nil && o.Join != "" {
		return errors.New("server: a node that joins a cluster needs an address for its link")
	}
	if o.Link != nil && (o.Dial == nil || o.LinkAddress == "") {
		return errors.New("server: incomplete options of the link")
	}
	if o.Link != nil && o.Election == 0 {
		o.Election = clusterElection
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
