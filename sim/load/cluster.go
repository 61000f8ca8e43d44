package load

import (
	"context"
	"time"

	"ironman/s3api/sig"
)

// Cluster is what clients know of a cluster, and what they share. No field changes
// once there are clients.
type Cluster struct {
	Nodes      int                   // how many there are, numbered from 1
	Address    func(node int) string // of a node's S3 listener
	Credential sig.Credential
	Think      time.Duration // between two requests of a client, on average

	Now  func() int64     // nanoseconds since the beginning of the run
	Wall func() time.Time // a right clock
	// Epoch tells hot keys of one time from those of another, so that the history of
	// each is short enough to be judged.
	Epoch func() int

	// Later: all nodes know what came after the first releases (transactions, the past,
	// restores), and so do clients. Else they keep to what every release knows.
	Later bool
	// Admin asks the admin listener of a node, as root.
	Admin func(ctx context.Context, node int, method, path string, body []byte) (status int, answer []byte, err error)
	// Kept tells whether what was so at a moment of Now must be readable still, in the
	// bucket that has no long retention of its own.
	Kept func(at int64) bool

	// HangUps lets clients go away in the middle, now and then; Fired counts that.
	HangUps bool
	Fired   func(id, name string)
	// ClocksJump tells whether a node's clock may be wrong, so that it refuses what it
	// takes for old.
	ClocksJump func() bool

	// History is what clients asked, and were answered.
	History *Log
	// Violated is told of an answer that must never be, by the invariant it breaks.
	Violated func(checker, format string, args ...any)
	// Did counts what clients have seen done, of what is rarer than a request.
	Did func(what string)
	// Answered is told of each request: whether its answer counts as one.
	Answered func(bool)
	// Trace is told of each request and answer.
	Trace func(kind string, parts ...any)
}

// What Cluster.Did is told.
const (
	Committed = "a transaction is committed"
	Refused   = "a transaction is refused for its condition"
	SentAgain = "a transaction that was not answered is sent again, and was or is done"
	ReadPast  = "the past is read"
	Restored  = "keys are restored to a moment"
	ToldOf    = "the feed tells of an event"
	Streamed  = "the feed is streamed"
	Moved     = "a cursor of the feed is moved"
	ErasedKey = "a key is erased from the record"
	NotKept   = "a past that is not kept any more is refused"
)

// Missing names what clients must have seen done in a run that is to show something, and have
// not.
func Missing(done map[string]int) (what []string) {
	for _, deed := range []string{Committed, ReadPast, ToldOf} {
		if done[deed] == 0 {
			what = append(what, deed)
		}
	}
	return what
}
