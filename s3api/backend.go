package s3api

import (
	"context"
	"io"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/s3api/sse"
	"ironman/wal/event"
)

// Log agrees on events.
type Log interface {
	// Propose has an event committed and applied. The outcome may be a refusal. An
	// error says that the outcome is unknown, or that nothing was done; it then
	// has S3Code.
	Propose(ctx context.Context, d *event.Draft) (seq uint64, o *event.Outcome, err error)
}

// Views shows the state at a linearizable point: everything acknowledged before
// the call. The view must be closed.
type Views interface {
	View(ctx context.Context) (*fsm.View, error)
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
	// SealSession and OpenSession are for session tokens, of which nothing is stored.
	SealSession(accessKey string, plain []byte) (token string)
	OpenSession(accessKey, token string) ([]byte, error)
}
