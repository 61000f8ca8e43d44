package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"ironman/fsm"
	"ironman/s3api"
	"ironman/wal/event"
)

// A restore makes a bucket what it was at an earlier moment: its settings, then its
// objects, step by step. Each step is of its own and may be repeated, at any node: what
// is already as it was is left alone. So whoever restores goes on after a fault where it
// was, and nothing of a restore that was given up has to be cleaned away.

// Bounds of one step.
const (
	restoreKeys  = 250    // that are restored
	restoreLooks = 20_000 // that are looked at
)

// RestorePlan is what a restore is to do. Its numbers are what the steps ask for.
type RestorePlan struct {
	Name string `json:"name"`
	// Bucket is the number of the bucket; 0: it is gone and is to be made anew.
	Bucket uint64 `json:"bucket"`
	// Source is the number of the bucket that had the name then.
	Source uint64 `json:"source"`
	// To is the moment: the events below this sequence.
	To uint64 `json:"to"`
	// Seen is the sequence that the restore begins at. What changes from it on stays. The
	// state before it is that of the event Seen-1: a restore to that one undoes this one.
	Seen uint64 `json:"seen"`
	// At is the second that the last event before To happened in.
	At time.Time `json:"at"`
	// Settings are those that differ: "acl", "policy", "versioning", ...
	Settings []string `json:"settings"`
	// Left are settings that somebody has changed since the restore began.
	Left []string `json:"left,omitempty"`
	// Objects is how many current objects the bucket has now.
	Objects uint64 `json:"objects"`
}

// RestoredKey is what a step found, or did to a key.
type RestoredKey struct {
	Key     string `json:"key"`               // quoted if it is no UTF-8
	Kind    string `json:"kind"`              // "put", "removed" or "changed" (ACL and tags)
	Version string `json:"version,omitempty"` // that it got, or that had it then
	Size    uint64 `json:"size"`              // of the object that comes back, bytes
	Failure string `json:"failure,omitempty"` // why it was left as it is
}

// RestoreStep is what a step did.
type RestoreStep struct {
	Looked int           `json:"looked"` // keys
	Keys   []RestoredKey `json:"keys"`
	After  []byte        `json:"after"` // the next step's
	More   bool          `json:"more"`
}

// restoring is the bucket of a restore in one view.
type restoring struct {
	now  *fsm.Bucket // nil: it is gone
	then *fsm.Bucket
	past *fsm.View      // as of then; good while the view is open
	kept *fsm.Retention // of the bucket that was; nil: as the cluster's
}

// PlanRestore says what it takes to make a bucket what it was at a moment: the sequence of
// an event, or a time in whole seconds.
func (n *Node) PlanRestore(ctx context.Context, name, moment string) (*RestorePlan, error) {
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	p, err := n.planRestore(v, name, moment)
	return p, errors.Join(err, v.Close())
}

func (n *Node) planRestore(v *fsm.View, name, moment string) (*RestorePlan, error) {
	if err := canRestore(v); err != nil {
		return nil, err
	}
	to, err := s3api.BehindMoment("to", moment, v, n.opts.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadAsk, err)
	}
	x, err := restoringIn(v, name, to)
	if err != nil {
		return nil, err
	}
	p := &RestorePlan{Name: name, Bucket: x.now.GetBucket(), Source: x.then.Bucket, To: to, Seen: v.Applied().Next, Settings: []string{}}
	second, err := v.SecondOf(to - 1)
	if err != nil {
		return nil, err
	}
	p.At = time.Unix(second, 0).UTC()
	settings, err := x.settings(v)
	if err != nil {
		return nil, err
	}
	for _, s := range settings {
		p.Settings = append(p.Settings, s.name)
	}
	if x.now == nil {
		return p, nil
	}
	u, err := v.Usage(x.now.Bucket)
	p.Objects = u.GetObjects()
	return p, err
}

// canRestore refuses before anything is done, while a node could not read what is to come.
func canRestore(v *fsm.View) error {
	c, err := v.Cluster()
	if err == nil && c.GetFeatureLevel() < event.LevelOf((&event.Statement{Body: &event.Statement_ObjectsRestored{}}).Kind()) {
		return restoreRefused(event.Refusal_REFUSAL_FEATURE_LEVEL)
	}
	return err
}

// restoringIn finds a bucket as it is and as it was.
func restoringIn(v *fsm.View, name string, to uint64) (*restoring, error) {
	past, then, err := v.AtName(name, to)
	if err == nil && then != nil {
		past, err = v.AtIn(then.Bucket, to)
	}
	if errors.Is(err, fsm.ErrTrimmed) {
		err = fmt.Errorf("%w: the state at that moment is not kept, or not any more: %w", errBadAsk, err)
	}
	if err != nil {
		return nil, err
	}
	x := &restoring{past: past, then: then}
	if x.then != nil {
		if x.kept, err = v.Retention(x.then.Bucket); err != nil {
			return nil, err
		}
	}
	if x.now, err = v.BucketByName(name); err != nil {
		return nil, err
	}
	switch {
	case x.then == nil:
		return nil, fmt.Errorf("%w: there was no bucket %q at that moment", errNoObject, name)
	case x.now != nil && x.now.Owner != x.then.Owner:
		return nil, fmt.Errorf("%w: the bucket %q of that moment is gone, and the one of that name now belongs to another account", errBadAsk, name)
	case x.now == nil:
		a, err := v.Account(x.then.Owner)
		if err == nil && a == nil {
			err = fmt.Errorf("%w: the bucket %q is gone, and so is the account that owned it", errBadAsk, name)
		}
		return x, err
	}
	return x, nil
}

// setting is one setting of a bucket that differs from what it was.
type setting struct {
	name  string
	kind  event.DocumentKind               // of a document
	event func(bucket uint64) *event.Draft // that makes it what it was
}

// settings are those of the bucket that differ. Versioning, object lock and quota are for
// a bucket that takes the place of the one that was: in the same bucket somebody may rely
// on the way they are now, and versioning cannot be as if it had not been.
func (x *restoring) settings(v *fsm.View) ([]setting, error) {
	var all []setting
	now, then := x.now, x.then
	if now.GetBucket() != then.Bucket {
		all = append(all, x.foundations()...)
	}
	if now != nil && !proto.Equal(now.Acl, then.Acl) {
		all = append(all, setting{"acl", 0, func(bucket uint64) *event.Draft {
			return event.NewDraft(nil, &event.Statement_BucketAclSet{BucketAclSet: &event.BucketACLSet{Bucket: bucket, Acl: then.Acl}})
		}})
	}
	for kind := event.DocumentKind(1); int(kind) < len(event.DocumentKind_name); kind++ {
		s, err := x.document(v, kind)
		if err != nil {
			return nil, err
		}
		if s != nil {
			all = append(all, *s)
		}
	}
	return all, nil
}

// foundations are what a bucket has that is none of its documents.
func (x *restoring) foundations() (all []setting) {
	now, then := x.now, x.then
	if then.Versioning != event.VersioningState_VERSIONING_STATE_NEVER && now.GetVersioning() != then.Versioning && !now.GetObjectLock() {
		all = append(all, setting{"versioning", 0, func(bucket uint64) *event.Draft {
			return event.NewDraft(nil, &event.Statement_BucketVersioningSet{BucketVersioningSet: &event.BucketVersioningSet{Bucket: bucket, State: then.Versioning}})
		}})
	}
	if then.ObjectLock && (!now.GetObjectLock() || now.GetDefaultMode() != then.DefaultMode || now.GetDefaultDays() != then.DefaultDays || now.GetDefaultYears() != then.DefaultYears) {
		all = append(all, setting{"object lock", 0, func(bucket uint64) *event.Draft {
			return event.NewDraft(nil, &event.Statement_BucketLockSet{BucketLockSet: &event.BucketLockSet{
				Bucket: bucket, Mode: then.DefaultMode, Days: then.DefaultDays, Years: then.DefaultYears,
			}})
		}})
	}
	if then.Quota != nil && !proto.Equal(now.GetQuota(), then.Quota) {
		all = append(all, setting{"quota", 0, func(bucket uint64) *event.Draft {
			return event.NewDraft(nil, &event.Statement_BucketQuotaSet{BucketQuotaSet: &event.BucketQuotaSet{Bucket: bucket, Quota: then.Quota}})
		}})
	}
	return all
}

// document compares one document of the bucket; nil if it is as it was.
func (x *restoring) document(v *fsm.View, kind event.DocumentKind) (*setting, error) {
	var now *fsm.Document
	var err error
	if x.now != nil {
		if now, err = v.Document(x.now.Bucket, kind); err != nil {
			return nil, err
		}
	}
	then, err := x.past.Document(x.then.Bucket, kind)
	if err != nil || string(now.GetText()) == string(then.GetText()) && now.GetConfirmed() == then.GetConfirmed() {
		return nil, err
	}
	name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(kind.String(), "DOCUMENT_KIND_"), "_", " "))
	return &setting{name, kind, func(bucket uint64) *event.Draft {
		b := &event.BucketDocumentSet{Bucket: bucket, Kind: kind, Confirmed: then.GetConfirmed()}
		return event.NewDraft(nil, &event.Statement_BucketDocumentSet{BucketDocumentSet: b}).
			Add(event.ItemKind_ITEM_KIND_DOCUMENT, 0, then.GetText())
	}}, nil
}

// RestoreSettings makes the bucket if it is gone, and its settings what they were before
// a sequence, but for those that were changed at seen or later. It gives the bucket's number,
// what it changed and what it left, and of a bucket that it made the sequence that its objects' restore
// begins with.
func (n *Node) RestoreSettings(ctx context.Context, name string, to, seen uint64) (*RestorePlan, error) {
	if err := n.room(); err != nil {
		return nil, err
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	x, all, left, err := settingsToRestore(v, name, to, seen)
	if err := errors.Join(err, v.Close()); err != nil {
		return nil, err
	}
	p := &RestorePlan{Name: name, Bucket: x.now.GetBucket(), Source: x.then.Bucket, To: to, Seen: seen, Settings: []string{}, Left: left}
	if x.now == nil {
		if p.Bucket, err = n.makeAgain(ctx, x); err != nil {
			return nil, err
		}
	}
	for _, s := range all {
		a, err := n.agreeAsRoot(ctx, restoreOperation, s.event(p.Bucket))
		if err == nil {
			err = restoreRefused(a.Outcome.GetRefusal())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		p.Settings = append(p.Settings, s.name)
	}
	if x.now == nil {
		p.Seen = n.machine.Applied().Next // nobody had anything in it before
	}
	return p, nil
}

// settingsToRestore are those that differ, and the names of those that were changed at seen
// or later.
func settingsToRestore(v *fsm.View, name string, to, seen uint64) (x *restoring, all []setting, left []string, err error) {
	if err = canRestore(v); err != nil {
		return nil, nil, nil, err
	}
	if x, err = restoringIn(v, name, to); err != nil {
		return nil, nil, nil, err
	}
	differ, err := x.settings(v)
	if err != nil || x.now == nil {
		return x, differ, nil, err
	}
	for _, s := range differ {
		changed, document, err := v.SettingsChanged(x.now.Bucket, s.kind)
		if s.kind != 0 {
			changed = document
		}
		switch {
		case err != nil:
			return nil, nil, nil, err
		case changed >= seen:
			left = append(left, s.name)
		default:
			all = append(all, s)
		}
	}
	return x, all, left, nil
}

// makeAgain makes a bucket like one that is gone, whose history is kept as long.
func (n *Node) makeAgain(ctx context.Context, x *restoring) (uint64, error) {
	then := x.then
	d := event.NewDraft(nil, &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{
		Owner: then.Owner, Region: then.Region, Acl: then.Acl, ObjectLock: then.ObjectLock,
	}}).AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, then.Name)
	a, err := n.agreeAsRoot(ctx, restoreOperation, d)
	if err == nil {
		err = restoreRefused(a.Outcome.GetRefusal())
	}
	made := a.Outcome.GetAllocated()
	if err != nil || x.kept == nil || x.kept.Inherits {
		return made, err
	}
	a, err = n.agreeAsRoot(ctx, restoreOperation, event.NewDraft(nil, &event.Statement_HistoryRetentionSet{HistoryRetentionSet: &event.HistoryRetentionSet{
		Bucket: made, Retention: x.kept.History, Strict: x.kept.Strict,
	}}))
	if err == nil {
		err = restoreRefused(a.Outcome.GetRefusal())
	}
	return made, err
}

// RestoreAsk is one step of a restore of objects. Its numbers are those of the plan.
type RestoreAsk struct {
	Bucket, Source, To, Seen uint64
	Prefix, After            string
	Dry                      bool // nothing is changed: what would be is told
}

// RestoreObjects takes one step: it looks at the next keys, and makes what differs of them
// what it was.
func (n *Node) RestoreObjects(ctx context.Context, ask RestoreAsk) (*RestoreStep, error) {
	if !ask.Dry {
		if err := n.room(); err != nil {
			return nil, err
		}
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	d, err := v.Differences(fsm.DifferenceQuery{
		Bucket: ask.Bucket, Source: ask.Source, To: ask.To, Prefix: ask.Prefix, After: ask.After, Max: restoreKeys, Looks: restoreLooks,
	})
	if errors.Is(err, fsm.ErrTrimmed) {
		err = fmt.Errorf("%w: the state at that moment is not kept, or not any more: %w", errBadAsk, err)
	}
	if err := errors.Join(err, v.Close()); err != nil {
		return nil, err
	}
	s := &RestoreStep{Looked: d.Looked, Keys: []RestoredKey{}, After: []byte(d.After), More: d.More}
	if ask.Dry || len(d.Found) == 0 {
		for _, x := range d.Found {
			s.Keys = append(s.Keys, foundKey(&x, ask.Seen))
		}
		return s, nil
	}
	s.Keys, err = n.restoreKeys(ctx, ask, d.Found)
	return s, err
}

func foundKey(d *fsm.Difference, seen uint64) RestoredKey {
	k := RestoredKey{Key: shownKey(d.Key), Kind: kindName(d.Kind), Size: d.Then.GetSize()}
	if d.Then != nil {
		k.Version = d.Then.Version.ID()
	}
	if d.Changed >= seen {
		k.Failure = changedMeanwhile
	}
	return k
}

const changedMeanwhile = "it has changed since the restore began"

// restoreKeys makes keys what they were by one event. If a quota refuses all of them, what is to be
// removed goes first, and the rest is tried in halves, so that those which fit come back.
func (n *Node) restoreKeys(ctx context.Context, ask RestoreAsk, found []fsm.Difference) ([]RestoredKey, error) {
	b := &event.ObjectsRestored{Bucket: ask.Bucket, Source: ask.Source, To: ask.To, Seen: ask.Seen, Keys: uint32(len(found))}
	d := event.NewDraft(nil, &event.Statement_ObjectsRestored{ObjectsRestored: b})
	for i, x := range found {
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, x.Key)
	}
	a, err := n.agreeAsRoot(ctx, restoreOperation, d)
	if err != nil {
		return nil, err
	}
	switch r := a.Outcome.GetRefusal(); {
	case r == event.Refusal_REFUSAL_QUOTA_EXCEEDED && len(found) > 1:
		slices.SortStableFunc(found, func(a, b fsm.Difference) int { return cmp.Compare(a.Then.GetSize(), b.Then.GetSize()) })
		first, err := n.restoreKeys(ctx, ask, found[:len(found)/2])
		if err != nil {
			return nil, err
		}
		second, err := n.restoreKeys(ctx, ask, found[len(found)/2:])
		return append(first, second...), err
	case r == event.Refusal_REFUSAL_QUOTA_EXCEEDED:
		k := foundKey(&found[0], ask.Seen)
		k.Failure = "it would exceed a quota"
		return []RestoredKey{k}, nil
	case r != event.Refusal_REFUSAL_NONE:
		return nil, restoreRefused(r)
	}
	var all []RestoredKey
	for i, sub := range a.Outcome.Subs {
		k := RestoredKey{Key: shownKey(found[i].Key), Kind: kindName(sub.Restored), Size: sub.Size}
		switch {
		case sub.Absent:
			continue // somebody else has restored it
		case sub.Refusal == event.Refusal_REFUSAL_CONFLICT:
			k.Kind, k.Failure = kindName(found[i].Kind), changedMeanwhile
		case sub.Refusal == event.Refusal_REFUSAL_OBJECT_LOCKED:
			k.Kind, k.Failure = kindName(found[i].Kind), "a lock keeps it"
		case sub.Refusal != event.Refusal_REFUSAL_NONE:
			k.Kind, k.Failure = kindName(found[i].Kind), "refused: "+sub.Refusal.String()
		case !sub.NullVersion:
			k.Version = sub.Version.ID()
		}
		all = append(all, k)
	}
	return all, nil
}

// restoreOperation is what the record calls a restore.
const restoreOperation = "RestoreBucket"

func kindName(k event.RestoredKind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "RESTORED_KIND_"))
}

// shownKey is a key as JSON can have it.
func shownKey(k string) string {
	if !utf8.ValidString(k) {
		return fmt.Sprintf("%q", k)
	}
	return k
}

// restoreRefused tells why something was not restored.
func restoreRefused(r event.Refusal) error {
	switch r {
	case event.Refusal_REFUSAL_NONE:
		return nil
	case event.Refusal_REFUSAL_NO_SUCH_BUCKET:
		return fmt.Errorf("%w: the bucket is gone", errNoObject)
	case event.Refusal_REFUSAL_NOT_FOUND:
		return fmt.Errorf("%w: there was no such bucket at that moment", errNoObject)
	case event.Refusal_REFUSAL_NOT_KEPT:
		return fmt.Errorf("%w: the state at that moment is not kept any more", errBadAsk)
	case event.Refusal_REFUSAL_FEATURE_LEVEL:
		return fmt.Errorf("%w: there is no restore while a node of an older release is in the cluster", errBadAsk)
	}
	return fmt.Errorf("%w: refused: %s", errBadAsk, r)
}
