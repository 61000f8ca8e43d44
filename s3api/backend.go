package s3api

import (
	"context"
	"io"
	"time"

	"ironman/fsm"
	"ironman/s3api/accesslog"
	"ironman/s3api/sig"
	"ironman/s3api/sse"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// Log agrees on events.
type Log interface {
	// Propose has an event committed and applied. The outcome may be a refusal; seq is
	// the event's, refused or not, and 0 (which is the making of the cluster) where it
	// was refused without being proposed. Where the outcome had to be asked for again it
	// is that of the event that asked, which is behind it. An error says that the outcome is unknown, or
	// that nothing was done; it then has S3Code.
	Propose(ctx context.Context, d *event.Draft) (seq uint64, o *event.Outcome, err error)
}

// Views shows the state at a linearizable point: everything acknowledged before
// the call. The view must be closed.
type Views interface {
	View(ctx context.Context) (*fsm.View, error)
	// Recent shows what this node has applied, and asks nobody: what was acknowledged a
	// moment ago may be missing. Nothing is decided by it. The view must be closed.
	Recent() (*fsm.View, error)
}

// AccessLog gathers the lines of access logs until they are delivered.
type AccessLog interface {
	// Add takes a line of a request that came at a moment. It never waits: a line for
	// which there is no room is dropped. The slice is the caller's again.
	Add(of accesslog.Source, came time.Time, line []byte)
}

// Reads keeps a record of each read of object data.
type Reads interface {
	// Add takes a record. It never waits: one for which there is no room is counted, and
	// the number recorded.
	Add(*event.ReadDraft)
}

// Blobs stores and reads immutable bytes.
type Blobs interface {
	// Put makes bytes durable; size is -1 where it is not known. An error of the
	// reader is returned as it is, and nothing is kept.
	Put(ctx context.Context, r io.Reader, size int64) (*event.Blob, error)
	// Abandon gives up a blob that no event has named.
	Abandon(*event.Blob)
	// Open reads a range. What it returns is verified; a reader that cannot go on
	// fails with an error that is not io.EOF.
	Open(ctx context.Context, b *event.Blob, offset, length int64) (io.ReadCloser, error)
}

// Secrets seals secrets for the log, and opens what it holds sealed. What is sealed for
// one access key opens for no other.
type Secrets interface {
	Open(accessKey string, sealed []byte) (sig.Secret, error)
	// Masters are the secrets that the keys of encrypted objects are wrapped under.
	Masters() *sse.Masters
	Seal(accessKey string, secret sig.Secret) []byte
	// Recognize is a hash of what a client asked for, by which it is known when it asks
	// again: the same on every node and after every restart, and of no use to whoever
	// guesses what was asked and has no secrets.
	Recognize(asked []byte) digest.Sum
	// SealSession and OpenSession are for session tokens, of which nothing is stored.
	SealSession(accessKey string, plain []byte) (token string)
	OpenSession(accessKey, token string) ([]byte, error)
}
