package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ironman/fsm"
	"ironman/s3api/lifecycle"
	"ironman/wal"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// DefaultLifecycleDay is how long a day is to lifecycle rules.
const DefaultLifecycleDay = 24 * time.Hour

const (
	// looksPerDay is how often in a day the expirer looks whether a bucket is due.
	looksPerDay = 24
	// expirePage is how many versions it reads at a time, expireBatch how many an event
	// removes: whoever writes meanwhile waits for one event at most.
	expirePage  = 1000
	expireBatch = 50
	// expireRest is how many times as long as an event took the log is left to clients
	// after it: so what goes on takes at most a quarter of it, and less where clients
	// make it slow.
	expireRest = 3
	// expirePause is the longest rest, whatever the clock does.
	expirePause = 5 * time.Second
)

// expirer carries out the lifecycle rules of buckets, on the node that leads: once a
// day it reads the versions and uploads of each bucket with rules, and proposes an event
// for those whose time has come. Apply looks at each once more. It keeps no position: what
// was removed is not found again, so that whoever goes on, after a restart or on another
// node, goes on where the last one was.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html
type expirer struct {
	views   func() (*fsm.View, error)
	propose func(context.Context, *event.Draft) (wal.Applied, error)
	leads   func() bool
	now     func() time.Time
	day     time.Duration
	log     *slog.Logger
	// removed is told of what went, and how many.
	removed func(what string, n int)

	// done is the last day of which a bucket's rules were carried out, by bucket.
	done map[uint64]passed
}

// passed is a day, and the rules that it was passed with.
type passed struct {
	day   int64
	rules digest.Sum
}

func newExpirer(n *Node) *expirer {
	return &expirer{
		views: n.machine.View, propose: n.proposeSystem, leads: n.log.Leads, now: n.opts.Now, day: n.opts.LifecycleDay,
		log: n.opts.Logger, removed: n.metrics.expire, done: make(map[uint64]passed),
	}
}

// run carries out rules until ctx ends.
func (e *expirer) run(ctx context.Context) {
	tick := time.NewTicker(max(e.day/looksPerDay, time.Second))
	defer tick.Stop()
	for {
		if e.leads() {
			if err := e.pass(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("lifecycle: rules are not carried out, and will be tried again", "err", err)
			}
		} else {
			clear(e.done) // who leads meanwhile may come to see rules that were not there yet
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ruled is a bucket with rules.
type ruled struct {
	bucket *fsm.Bucket
	text   []byte
}

// pass does what is due in all buckets.
func (e *expirer) pass(ctx context.Context) error {
	buckets, now, err := e.buckets()
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range buckets {
		pass := passed{day: now / int64(e.day), rules: digest.SHA256(b.text)}
		if e.done[b.bucket.Bucket] == pass {
			continue
		}
		err := e.bucket(ctx, b, now)
		if errors.Is(err, errChanged) {
			continue // the next look sees the new ones
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("bucket %s: %w", b.bucket.Name, err))
			continue
		}
		e.done[b.bucket.Bucket] = pass
	}
	return errors.Join(errs...)
}

// buckets are those that have rules, and the log's time. That stands still while
// nothing happens: then it is what it would be now. A node whose clock is off does not
// lead.
func (e *expirer) buckets() (out []ruled, now int64, err error) {
	v, err := e.views()
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	var listed []*fsm.Bucket
	if err := v.Buckets(func(b *fsm.Bucket) bool {
		if b.Lists(event.DocumentKind_DOCUMENT_KIND_LIFECYCLE) {
			listed = append(listed, b)
		}
		return true
	}); err != nil {
		return nil, 0, err
	}
	for _, b := range listed {
		doc, err := v.Document(b.Bucket, event.DocumentKind_DOCUMENT_KIND_LIFECYCLE)
		if err != nil {
			return nil, 0, err
		}
		if doc != nil {
			out = append(out, ruled{b, doc.Text})
		}
	}
	return out, max(v.Applied().Time, e.now().UnixNano()), nil
}

var (
	errDeposed = errors.New("another node leads now")
	errChanged = errors.New("the rules were changed meanwhile")
)

// still: a rule that its owner has taken away does nothing any more.
func (b *ruled) still(v *fsm.View) error {
	doc, err := v.Document(b.bucket.Bucket, event.DocumentKind_DOCUMENT_KIND_LIFECYCLE)
	if err == nil && (doc == nil || !bytes.Equal(doc.Text, b.text)) {
		err = errChanged
	}
	return err
}

// bucket carries out the rules of one.
func (e *expirer) bucket(ctx context.Context, b ruled, now int64) error {
	c, err := lifecycle.Read(b.text, e.day)
	if err != nil {
		return fmt.Errorf("its rules cannot be read: %w", err)
	}
	if err := e.versions(ctx, &expiry{expirer: e, of: b, bucket: b.bucket, rules: c, now: now}); err != nil {
		return err
	}
	return e.uploads(ctx, b, c, now)
}

// expiry is the walk over the versions of a bucket. A page may end within a key, so it
// carries over what it has to know of the newer ones.
type expiry struct {
	*expirer
	of     ruled
	bucket *fsm.Bucket
	rules  *lifecycle.Configuration
	now    int64

	key        string
	newer      int   // versions of key that were passed and are not current
	superseded int64 // when the next one stopped being current

	view uint64 // applied sequence + 1 of the page
	due  map[*lifecycle.Rule]*expiryBatch
}

type expiryBatch struct {
	keys    []string
	targets []*event.ExpiredTarget
}

// versions proposes what is due of objects, versions and markers, page by page.
func (e *expirer) versions(ctx context.Context, x *expiry) error {
	q := fsm.VersionQuery{Bucket: x.bucket.Bucket, Max: expirePage}
	for more := true; more; {
		if !e.leads() {
			return errDeposed
		}
		page, truncated, err := e.page(x, q)
		if err != nil {
			return err
		}
		if err := x.flush(ctx); err != nil {
			return err
		}
		if more = truncated && len(page) > 0; more {
			last := page[len(page)-1]
			q.After, q.AfterVersion = last.Key, last.Object.Version
		}
	}
	return nil
}

// page reads and judges one.
func (e *expirer) page(x *expiry, q fsm.VersionQuery) (page []fsm.VersionItem, truncated bool, err error) {
	v, err := e.views()
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if err := x.of.still(v); err != nil {
		return nil, false, err
	}
	x.view = v.Applied().Next
	page, truncated, err = v.ListVersions(q)
	for i := range page {
		if err == nil {
			err = x.judge(v, &page[i])
		}
	}
	return page, truncated, err
}

// judge notes what the rules do with a version.
func (x *expiry) judge(v *fsm.View, it *fsm.VersionItem) error {
	o := it.Object
	s := &lifecycle.Subject{
		Key: it.Key, Size: int64(o.Size), Created: o.Time, DeleteMarker: o.DeleteMarker, Noncurrent: !it.Latest,
		Tag: o.Tags.Value,
	}
	switch {
	case it.Latest:
		x.key, x.newer = it.Key, 0
		if o.DeleteMarker {
			older, err := v.Older(x.bucket.Bucket, it.Key, o.Version)
			if err != nil {
				return err
			}
			s.Alone = older == nil
		}
	case x.key == it.Key:
		s.Superseded, s.Newer = x.superseded, x.newer
		x.newer++
	default:
		return nil // its newer ones went between two pages: the next pass sees it whole
	}
	x.superseded = o.Time
	action, rule := x.rules.Decide(s, x.now)
	if action == lifecycle.Keep || x.bucket.Holds(o, x.now) && action != lifecycle.Expire {
		return nil
	}
	x.add(rule, it.Key, &event.ExpiredTarget{Version: o.Version, Kind: expiredKind(action)})
	return nil
}

func expiredKind(a lifecycle.Action) event.ExpiredKind {
	switch a {
	case lifecycle.Expire:
		return event.ExpiredKind_EXPIRED_KIND_CURRENT
	case lifecycle.RemoveMarker:
		return event.ExpiredKind_EXPIRED_KIND_MARKER
	default:
		return event.ExpiredKind_EXPIRED_KIND_NONCURRENT
	}
}

func (x *expiry) add(rule *lifecycle.Rule, key string, t *event.ExpiredTarget) {
	if x.due == nil {
		x.due = make(map[*lifecycle.Rule]*expiryBatch)
	}
	b := x.due[rule]
	if b == nil {
		b = new(expiryBatch)
		x.due[rule] = b
	}
	b.keys = append(b.keys, key)
	b.targets = append(b.targets, t)
}

// flush proposes what is due, by rule, in the order of the rules.
func (x *expiry) flush(ctx context.Context) error {
	for i := range x.rules.Rules {
		rule := &x.rules.Rules[i]
		b := x.due[rule]
		for b != nil && len(b.keys) > 0 {
			n := min(len(b.keys), expireBatch)
			if err := x.remove(ctx, rule, b.keys[:n], b.targets[:n]); err != nil {
				return err
			}
			b.keys, b.targets = b.keys[n:], b.targets[n:]
		}
	}
	return nil
}

// remove proposes one event. Then it lets clients have the log.
func (x *expiry) remove(ctx context.Context, rule *lifecycle.Rule, keys []string, targets []*event.ExpiredTarget) error {
	d := event.NewDraft(nil, &event.Statement_ObjectsExpired{ObjectsExpired: &event.ObjectsExpired{Bucket: x.bucket.Bucket, Targets: targets, View: x.view}}).
		AddText(event.ItemKind_ITEM_KIND_NAME, 0, rule.ID)
	for i, k := range keys {
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, k)
	}
	began := x.expirer.now()
	a, err := x.propose(ctx, d)
	if err != nil {
		return err
	}
	if a.Outcome.Refusal != event.Refusal_REFUSAL_NONE {
		return fmt.Errorf("removing %d versions by rule %q: %v", len(keys), rule.ID, a.Outcome.Refusal)
	}
	gone := make(map[event.ExpiredKind]int)
	for i, sub := range a.Outcome.Subs {
		if sub.Refusal == event.Refusal_REFUSAL_NONE && i < len(targets) {
			gone[targets[i].Kind]++
		}
	}
	for kind, n := range gone {
		x.removed(expiredNames[kind], n)
	}
	return rest(ctx, x.expirer.now().Sub(began))
}

// expiredNames are the values of a metric's label.
var expiredNames = map[event.ExpiredKind]string{
	event.ExpiredKind_EXPIRED_KIND_CURRENT:    "current",
	event.ExpiredKind_EXPIRED_KIND_NONCURRENT: "noncurrent",
	event.ExpiredKind_EXPIRED_KIND_MARKER:     "marker",
}

// uploads aborts those whose time has come.
func (e *expirer) uploads(ctx context.Context, b ruled, c *lifecycle.Configuration, now int64) error {
	if !c.Aborts() {
		return nil
	}
	q := fsm.UploadQuery{Bucket: b.bucket.Bucket, Max: expirePage}
	for more := true; more; {
		page, truncated, err := e.uploadPage(b, q)
		if err != nil {
			return err
		}
		for _, it := range page {
			u := it.Upload
			if a, _ := c.Decide(&lifecycle.Subject{Key: u.Key, Upload: true, Created: u.Time}, now); a != lifecycle.Abort {
				continue
			}
			if err := e.abort(ctx, b.bucket, u); err != nil {
				return err
			}
		}
		if more = truncated && len(page) > 0; more {
			last := page[len(page)-1].Upload
			q.After, q.AfterUpload = last.Key, last.Upload
		}
	}
	return nil
}

func (e *expirer) uploadPage(b ruled, q fsm.UploadQuery) (page []fsm.UploadItem, truncated bool, err error) {
	v, err := e.views()
	if err != nil {
		return nil, false, err
	}
	if err := b.still(v); err != nil {
		return nil, false, errors.Join(err, v.Close())
	}
	page, truncated, err = v.ListUploads(q)
	return page, truncated, errors.Join(err, v.Close())
}

// abort forgets one upload, which may be complete by now.
func (e *expirer) abort(ctx context.Context, b *fsm.Bucket, u *fsm.Upload) error {
	if !e.leads() {
		return errDeposed
	}
	began := e.now()
	a, err := e.propose(ctx, event.NewDraft(nil, &event.Statement_UploadAborted{UploadAborted: &event.UploadAborted{
		Bucket: b.Bucket, Upload: u.Upload,
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, u.Key))
	if err != nil {
		return err
	}
	if a.Outcome.Refusal == event.Refusal_REFUSAL_NONE {
		e.removed("upload", 1)
	}
	return rest(ctx, e.now().Sub(began))
}

// rest leaves the log to clients after an event that took so long, or until ctx ends.
func rest(ctx context.Context, took time.Duration) error {
	t := time.NewTimer(min(expireRest*took, expirePause))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
