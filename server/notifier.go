package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ironman/fsm"
	"ironman/s3api/notify"
	"ironman/wal"
	"ironman/wal/event"
)

const (
	// notifyLook is how often the notifier looks for configurations, at least: the more
	// buckets there are, the longer it takes.
	notifyLook = time.Second
	// notifyPoll is how often a configuration looks for events, where there were none.
	notifyPoll = 100 * time.Millisecond
	// notifyBatch is how many happenings a message has at most.
	notifyBatch = 100
	// A position is kept once a second, or after so many events that meant nothing to
	// the configuration: whoever goes on repeats what came behind it.
	notifyKeep       = time.Second
	notifyKeepEvents = 4096
	// Pauses between tries to deliver.
	notifyFirstPause = 250 * time.Millisecond
	notifyLastPause  = 30 * time.Second
)

// notifier tells webhooks what happened to objects, on the node that leads: each
// configuration of a bucket from the event on that made it, in the order of the log, and
// each event at least once. How far a configuration has come is an event itself, so that
// whoever leads next goes on from there. While a target does not take its messages it
// waits; nothing is dropped.
type notifier struct {
	views   func() (*fsm.View, error)
	propose func(context.Context, *event.Draft) (wal.Applied, error)
	leads   func() bool
	feed    *feed
	hooks   *webhooks
	about   notify.About
	log     *slog.Logger
	// sent is told of each try to deliver, and of how many happenings.
	sent func(delivered bool, n int)

	mu      sync.Mutex
	workers map[ruleName]*ruleWorker
	done    sync.WaitGroup
}

// ruleName is a configuration: of a bucket, by id.
type ruleName struct {
	bucket uint64
	id     string
}

// bucketRule is a configuration, and since when its bucket has it.
type bucketRule struct {
	ruleName
	name, owner string // of the bucket
	rule        notify.Rule
	since       int64  // ns of log time
	text        string // of the document: a change of it begins anew where it was
}

// ruleWorker is one configuration at work.
type ruleWorker struct {
	of   bucketRule
	stop context.CancelFunc
	next uint64 // events below it are delivered; guarded by notifier.mu
}

func newNotifier(n *Node, hooks *webhooks) *notifier {
	return &notifier{
		views: n.machine.View, propose: n.proposeSystem, leads: n.log.Leads, feed: &feed{records: n.log.Records}, hooks: hooks,
		about: notify.About{Region: n.opts.Region, HostID: raftID(n.identity.Node)}, log: n.opts.Logger, sent: n.metrics.notified,
		workers: make(map[ruleName]*ruleWorker),
	}
}

// run notifies until ctx ends.
func (n *notifier) run(ctx context.Context) {
	defer n.done.Wait()
	for {
		began := time.Now()
		var rules []bucketRule
		var err error
		if n.leads() {
			var unread map[uint64]bool
			if rules, unread, err = n.rules(); err == nil {
				err = n.forget(ctx, rules, unread)
			}
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("notifications: configurations cannot be read", "err", err)
		} else {
			n.assign(ctx, rules)
		}
		if rest(ctx, max(notifyLook, 20*time.Since(began))) != nil {
			return
		}
	}
}

// rules reads the configurations of all buckets. unread are those buckets whose document
// means nothing to this release: they wait, and no other for them.
func (n *notifier) rules() (out []bucketRule, unread map[uint64]bool, err error) {
	const kind = event.DocumentKind_DOCUMENT_KIND_NOTIFICATION
	v, err := n.views()
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	var buckets []*fsm.Bucket
	if err := v.Buckets(func(b *fsm.Bucket) bool {
		if b.Lists(kind) {
			buckets = append(buckets, b)
		}
		return true
	}); err != nil {
		return nil, nil, err
	}
	unread = make(map[uint64]bool)
	for _, b := range buckets {
		doc, err := v.Document(b.Bucket, kind)
		if err != nil {
			return nil, nil, err
		}
		if doc == nil {
			continue
		}
		rules, err := notify.Rules(doc.Text)
		if err != nil {
			n.log.Error("notifications: a bucket's configuration cannot be read: nobody is told", "bucket", b.Name, "err", err)
			unread[b.Bucket] = true
			continue
		}
		for _, r := range rules {
			out = append(out, bucketRule{ruleName: ruleName{b.Bucket, r.ID}, name: b.Name, owner: b.Owner, rule: r, since: doc.Time, text: string(doc.Text)})
		}
	}
	return out, unread, nil
}

// forget removes the positions of configurations that are gone, so that one of the same
// name begins anew, and the cursors of consumers of the feeds of buckets that are gone.
func (n *notifier) forget(ctx context.Context, rules []bucketRule, unread map[uint64]bool) (err error) {
	there := make(map[ruleName]bool, len(rules))
	for i := range rules {
		there[rules[i].ruleName] = true
	}
	v, err := n.views()
	if err != nil {
		return err
	}
	type cursorName struct {
		kind event.CursorKind
		ruleName
	}
	var gone []cursorName
	var bucketErr error
	err = v.EachCursor(func(bucket uint64, c fsm.CursorEntry) bool {
		name := ruleName{bucket, c.Name}
		switch {
		case c.Kind == event.CursorKind_CURSOR_KIND_NOTIFICATION && !there[name] && !unread[bucket]:
			gone = append(gone, cursorName{c.Kind, name})
		case c.Kind == event.CursorKind_CURSOR_KIND_FEED && bucket != 0: // of a consumer of a bucket's feed
			var b *fsm.Bucket
			if b, bucketErr = v.Bucket(bucket); b == nil && bucketErr == nil {
				gone = append(gone, cursorName{c.Kind, name})
			}
		}
		return bucketErr == nil
	})
	if err := errors.Join(err, bucketErr, v.Close()); err != nil {
		return err
	}
	for _, name := range gone {
		if name.kind == event.CursorKind_CURSOR_KIND_NOTIFICATION {
			n.end(name.ruleName)
		}
		if _, err := n.propose(ctx, event.NewDraft(nil, &event.Statement_CursorDeleted{CursorDeleted: &event.CursorDeleted{
			Kind: name.kind, Bucket: name.bucket,
		}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name.id)); err != nil {
			return err
		}
	}
	return nil
}

// end stops a configuration's worker, if it has one.
func (n *notifier) end(name ruleName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.workers[name]; w != nil {
		w.stop()
		delete(n.workers, name)
	}
}

// assign has exactly these configurations at work.
func (n *notifier) assign(ctx context.Context, rules []bucketRule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there := make(map[ruleName]bool, len(rules))
	for _, r := range rules {
		there[r.ruleName] = true
		if w := n.workers[r.ruleName]; w != nil {
			if w.of.text == r.text && w.of.since == r.since {
				continue
			}
			w.stop()
		}
		own, stop := context.WithCancel(ctx)
		w := &ruleWorker{of: r, stop: stop}
		n.workers[r.ruleName] = w
		n.done.Go(func() { n.work(own, w) })
	}
	for name, w := range n.workers {
		if !there[name] {
			w.stop()
			delete(n.workers, name)
		}
	}
}

// behind is how many events the configuration that has come least far has yet to look at.
func (n *notifier) behind(applied uint64) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	var most uint64
	for _, w := range n.workers {
		if w.next < applied {
			most = max(most, applied-w.next)
		}
	}
	return most
}

// work serves one configuration until ctx ends.
func (n *notifier) work(ctx context.Context, w *ruleWorker) {
	for ctx.Err() == nil {
		p := &ruleProgress{notifier: n, worker: w}
		if err := p.serve(ctx); ctx.Err() == nil {
			n.log.Warn("notifications: waiting", "bucket", w.of.name, "configuration", w.of.id, "err", err)
			_ = rest(ctx, notifyLook)
		}
	}
}

// ruleProgress is how far a worker has come.
type ruleProgress struct {
	*notifier
	worker *ruleWorker
	kept   uint64 // the cursor, 0: there is none
	next   uint64
	// fresh: it began without a cursor. Then the first one is kept once what had happened
	// before, up to start, is passed.
	fresh  bool
	start  uint64
	last   time.Time // when it was kept
	sentTo uint64    // next, as of the last delivery
}

// serve goes on from the configuration's cursor. An error, or a cursor that another node
// has moved, ends it.
func (p *ruleProgress) serve(ctx context.Context) error {
	if err := p.begin(); err != nil {
		return err
	}
	for {
		all, next, err := p.feed.read(p.next)
		if err != nil {
			return err
		}
		some, next := p.choose(all, next)
		if len(some) > 0 {
			if err := p.deliver(ctx, some); err != nil {
				return err
			}
			p.sentTo = next
		}
		idle := next == p.next
		p.reach(next)
		if err := p.keep(ctx); err != nil {
			return err
		}
		if idle {
			if err := rest(ctx, notifyPoll); err != nil {
				return err
			}
		}
	}
}

// reach moves on to an event.
func (p *ruleProgress) reach(next uint64) {
	p.next = next
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worker.next = next
}

// begin reads the cursor. Without one it begins where the document was put.
func (p *ruleProgress) begin() (err error) {
	of := &p.worker.of
	v, err := p.views()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c, err := v.Cursor(of.bucket, event.CursorKind_CURSOR_KIND_NOTIFICATION, of.id)
	if err != nil {
		return err
	}
	if c != nil {
		p.kept = c.Next
		p.sentTo = c.Next
		p.last = time.Now()
		p.reach(c.Next)
		return nil
	}
	p.fresh, p.start = true, v.Applied().Next
	from, err := v.SeqAt(of.since / int64(time.Second))
	if err == nil {
		p.reach(from)
	}
	return err
}

// choose takes what the configuration wants of what happened, as much as a message holds,
// and says up to which event that is.
func (p *ruleProgress) choose(all []notify.Happening, next uint64) ([]notify.Happening, uint64) {
	of := &p.worker.of
	var some []notify.Happening
	for i := range all {
		h := &all[i]
		if len(some) >= notifyBatch && h.Seq != some[len(some)-1].Seq {
			return some, h.Seq
		}
		if h.Bucket == of.bucket && of.rule.Wants(h) && (!p.fresh || h.Time > of.since) {
			some = append(some, *h)
		}
	}
	return some, next
}

// deliver tries until the target takes the message.
func (p *ruleProgress) deliver(ctx context.Context, some []notify.Happening) error {
	of := &p.worker.of
	about := p.about
	about.Bucket, about.Owner, about.Rule = of.name, of.owner, of.id
	message := notify.Message(about, some)
	for pause := notifyFirstPause; ; pause = min(2*pause, notifyLastPause) {
		err := p.hooks.post(ctx, of.rule.Target, message)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.sent(err == nil, len(some))
		if err == nil {
			return nil
		}
		if pause == notifyFirstPause {
			p.log.Warn("notifications: a target does not take them, and is tried again", "bucket", of.name, "configuration", of.id, "target", of.rule.Target, "err", err)
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

// keep moves the cursor when it is time to.
func (p *ruleProgress) keep(ctx context.Context) error {
	due := p.kept == 0 && p.next >= p.start || p.kept > 0 && p.sentTo > p.kept && time.Since(p.last) >= notifyKeep || p.kept > 0 && p.next >= p.kept+notifyKeepEvents
	if !due || p.next <= p.kept {
		return nil
	}
	a, err := p.propose(ctx, event.NewDraft(nil, &event.Statement_CursorSet{CursorSet: &event.CursorSet{
		Kind: event.CursorKind_CURSOR_KIND_NOTIFICATION, Bucket: p.worker.of.bucket, From: p.kept, To: p.next,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, p.worker.of.id))
	if err != nil {
		return err
	}
	if a.Outcome.Refusal != event.Refusal_REFUSAL_NONE {
		return fmt.Errorf("the position cannot be kept: %v", a.Outcome.Refusal)
	}
	p.kept, p.last = p.next, time.Now()
	return nil
}
