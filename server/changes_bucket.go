package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"ironman/s3api"
	"ironman/s3api/s3err"
	"ironman/server/audit"
	"ironman/wal"
)

const (
	// bucketReaders is how many may read feeds of buckets on a node at once, and
	// bucketReadersOfOne how many of one account.
	bucketReaders      = 128
	bucketReadersOfOne = 32
)

// bucketPlaces are the places of those who read the feeds of buckets.
type bucketPlaces struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by account
}

// take takes a place. It is to be given back once.
func (b *bucketPlaces) take(account string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= bucketReaders {
		return s3err.Newf("SlowDown", "%d read feeds of buckets on this node already.", b.all)
	}
	if n := b.of[account]; n >= bucketReadersOfOne {
		return s3err.Newf("SlowDown", "The account reads %d feeds of buckets on this node already.", n)
	}
	if b.of == nil {
		b.of = make(map[string]int)
	}
	b.all++
	b.of[account]++
	return nil
}

func (b *bucketPlaces) give(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.of[account]--; b.of[account] == 0 {
		delete(b.of, account)
	}
}

func (b *bucketPlaces) taken() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

// bucketFeed is the change feed as the S3 front wants it.
type bucketFeed struct{ n *Node }

// Open implements s3api.Feed.
func (f bucketFeed) Open(ctx context.Context, q *s3api.FeedQuery) (s3api.FeedReading, error) {
	c := f.n.changes
	for _, name := range []string{"bucket", "actor", "refused"} { // of the whole cluster's only
		if q.Query.Has(name) {
			return nil, s3err.InvalidArgument(name, q.Query.Get(name), "The feed of a bucket knows no such parameter.")
		}
	}
	x, err := parseChanges(q.Query, q.Stream)
	if err == nil && q.Stream {
		err = x.after(q.Last)
	}
	if err != nil {
		return nil, bucketFeedError(err)
	}
	for _, at := range []string{x.from, x.to} {
		if strings.HasPrefix(at, "cursor:") { // it would be one of the cluster's
			return nil, s3err.InvalidArgument("from", at, "The feed of a bucket knows no such cursor.")
		}
	}
	x.least = q.Bucket // the bucket's id is the event that made it
	if err := c.buckets.take(q.Account); err != nil {
		return nil, err
	}
	p, err := c.begin(ctx, x, q.Account)
	if err != nil {
		c.buckets.give(q.Account)
		return nil, bucketFeedError(err)
	}
	p.may = q.May
	owner := ""
	if q.Owner {
		owner = q.Account
	}
	p.tell = func(e *audit.Entry) *audit.Entry {
		told := ofBucket(e, q.Bucket, owner)
		if told == nil || !x.filter.Takes(told) {
			return nil
		}
		return told
	}
	return &bucketReading{changesReading: p, stream: q.Stream}, nil
}

// bucketReading is a reading of a bucket's feed.
type bucketReading struct {
	*changesReading
	stream bool
}

// Send implements s3api.FeedReading.
func (b *bucketReading) Send(ctx context.Context, w http.ResponseWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ending, cancel)()
	err := b.send(ctx, w, b.stream)
	if ctx.Err() != nil && b.stream { // that is how it ends
		return nil
	}
	return err
}

// Close implements s3api.FeedReading.
func (b *bucketReading) Close() { b.buckets.give(b.account) }

// toldOfBucket are the kinds of events that a bucket's feed tells. Not among them: where consumers
// stand, and how the store keeps what it has to.
func toldOfBucket(kind string) bool {
	switch kind {
	case "bucket_created", "bucket_deleted", "bucket_acl_set", "bucket_document_set", "bucket_versioning_set", "bucket_lock_set", "bucket_quota_set",
		"history_retention_set",
		"object_put", "objects_deleted", "object_acl_set", "object_tags_set", "object_lock_set", "object_renamed", "object_appended",
		"objects_expired", "objects_restored", "transaction_committed",
		"upload_created", "part_put", "upload_completed", "upload_aborted":
		return true
	}
	return false
}

// ofBucket is what a reader of a bucket's feed is told of an event; nil: nothing. That is
// what happened in the bucket: not what was refused, or changed nothing, nor what was copied
// from it to others'. Where a copy came from is told only of the bucket itself. Who did it is for the
// bucket's owner, as in an access log, whose canonical id is given if he reads; from where, and which
// rule allowed it, are in the cluster's feed alone.
func ofBucket(e *audit.Entry, bucket uint64, owner string) *audit.Entry {
	if e.Bucket != bucket || e.Outcome != "accepted" || !toldOfBucket(e.Kind) {
		return nil
	}
	told := &audit.Entry{
		Seq: e.Seq, Time: e.Time, Kind: e.Kind, Operation: e.Operation, Bucket: e.Bucket, Name: e.Name, Keys: e.Keys,
		Outcome: e.Outcome, Version: e.Version, ETag: e.ETag, Erased: e.Erased,
	}
	if e.Idle != nil {
		told.Keys = nil
		for i, key := range e.Keys {
			if !e.Idle[i] {
				told.Keys = append(told.Keys, key)
			}
		}
		if len(told.Keys) == 0 && e.Erased == 0 { // what was erased may have been a key to which something happened
			return nil
		}
	}
	if e.SourceID == 0 || e.SourceID == bucket {
		told.SourceKey, told.SourceBucket, told.SourceID = e.SourceKey, e.SourceBucket, e.SourceID
	}
	for _, step := range e.Steps {
		if step.Idle {
			continue
		}
		of := audit.Step{What: step.What, Key: step.Key, Version: step.Version, ETag: step.ETag}
		if step.SourceID == 0 || step.SourceID == bucket {
			of.SourceKey, of.SourceBucket, of.SourceID = step.SourceKey, step.SourceBucket, step.SourceID
		}
		told.Steps = append(told.Steps, of)
	}
	if owner != "" {
		told.Actor, told.Request = actorFor(owner, e), e.Request
		if e.ActorAccount == owner {
			told.ActorName = e.ActorName
		}
	}
	return told
}

// actorFor is the id of who did something, as another account may know it: of a session its role,
// but not its name, which may be a person's. The account's own are told whole.
func actorFor(owner string, e *audit.Entry) string {
	if e.ActorAccount == owner {
		return e.Actor
	}
	id, _, _ := strings.Cut(e.Actor, ":")
	return id
}

// bucketFeedError tells a client of S3 why the feed does not give what was asked for.
func bucketFeedError(err error) error {
	switch {
	case errors.Is(err, errBadAsk):
		return s3err.Newf("InvalidArgument", "%s", err.Error()).Because(err)
	case errors.Is(err, wal.ErrNotHere):
		return s3err.Newf("ServiceUnavailable", "This node is still fetching the records of these events from other nodes. Try again, or ask another node.").Because(err)
	case errors.Is(err, wal.ErrClosed), errors.Is(err, errNotNow):
		return s3err.New("ServiceUnavailable").Because(err)
	}
	return fmt.Errorf("server: the feed of a bucket: %w", err)
}
