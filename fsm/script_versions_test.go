package fsm

import (
	"fmt"
	"strings"

	"ironman/wal/event"
)

// versioning b enabled
func versioningCommand(s *script, a args, h *event.Header) *event.Draft {
	b, _ := s.place(a, a.first())
	state := event.VersioningState_value["VERSIONING_STATE_"+strings.ToUpper(a.words[1])]
	return event.NewDraft(h, &event.Statement_BucketVersioningSet{BucketVersioningSet: &event.BucketVersioningSet{Bucket: b, State: event.VersioningState(state)}})
}

func (a args) mode() event.RetentionMode {
	return event.RetentionMode(event.RetentionMode_value["RETENTION_MODE_"+a.named["mode"]])
}

// lock reads mode=GOVERNANCE until=seconds hold; until counts from the script's beginning.
func (a args) lock() *event.Lock {
	if a.named["until"] == "" && !a.has("hold") {
		return nil
	}
	l := &event.Lock{Mode: a.mode(), LegalHold: a.has("hold")}
	if a.named["until"] != "" {
		l.RetainUntil = (1_800_000_000 + int64(a.number("until"))) * 1e9
	}
	return l
}

// lock-bucket b mode=GOVERNANCE days=1
func lockBucketCommand(s *script, a args, h *event.Header) *event.Draft {
	b, _ := s.place(a, a.first())
	return event.NewDraft(h, &event.Statement_BucketLockSet{BucketLockSet: &event.BucketLockSet{
		Bucket: b, Mode: a.mode(), Days: uint32(a.number("days")), Years: uint32(a.number("years")),
	}})
}

func (a args) quota() *event.Quota {
	return &event.Quota{Bytes: a.number("bytes"), Objects: a.number("objects")}
}

// quota b bytes=10 objects=2
func quotaCommand(s *script, a args, h *event.Header) *event.Draft {
	b, _ := s.place(a, a.first())
	return event.NewDraft(h, &event.Statement_BucketQuotaSet{BucketQuotaSet: &event.BucketQuotaSet{Bucket: b, Quota: a.quota()}})
}

// account-quota 1 bytes=10 objects=2
func accountQuotaCommand(s *script, a args, h *event.Header) *event.Draft {
	return event.NewDraft(h, &event.Statement_AccountQuotaSet{AccountQuotaSet: &event.AccountQuotaSet{Account: a.first(), Quota: a.quota()}})
}

// tags b/k version=5.0 tags=k:v,l:w
func tagsCommand(s *script, a args, h *event.Header) *event.Draft {
	b, k := s.place(a, a.first())
	tags := &event.Tags{}
	for _, t := range a.list("tags") {
		name, value, _ := strings.Cut(t, ":")
		tags.Tags = append(tags.Tags, &event.Tag{Key: name, Value: value})
	}
	return event.NewDraft(h, &event.Statement_ObjectTagsSet{ObjectTagsSet: &event.ObjectTagsSet{Bucket: b, Version: a.version(a.named["version"])}}).
		AddText(event.ItemKind_ITEM_KIND_KEY, 0, k).AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
}

// lock b/k version=5.0 mode=GOVERNANCE until=60 bypass; or none; or hold; or release
func lockCommand(s *script, a args, h *event.Header) *event.Draft {
	b, k := s.place(a, a.first())
	x := &event.ObjectLockSet{
		Bucket: b, Version: a.version(a.named["version"]), Lock: a.lock(), BypassGovernance: a.has("bypass"),
		Retention: a.named["mode"] != "" || a.has("none"), LegalHold: a.has("hold") || a.has("release"),
	}
	if x.Lock == nil {
		x.Lock = &event.Lock{}
	}
	return event.NewDraft(h, &event.Statement_ObjectLockSet{ObjectLockSet: x}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, k)
}

// rename b/new from=old@5.0
func renameCommand(s *script, a args, h *event.Header) *event.Draft {
	b, k := s.place(a, a.first())
	from, version, _ := strings.Cut(a.named["from"], "@")
	x := &event.ObjectRenamed{Bucket: b, Version: a.version(version), Condition: a.condition()}
	if a.named["if-source"] != "" {
		x.SourceCondition = &event.Condition{IfMatch: a.list("if-source")}
	}
	return event.NewDraft(h, &event.Statement_ObjectRenamed{ObjectRenamed: x}).
		AddText(event.ItemKind_ITEM_KIND_KEY, 0, k).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, from)
}

// append b/k version=5.0 offset=10 size=15 blob=1:2 on=1: five bytes more
func appendCommand(s *script, a args, h *event.Header) *event.Draft {
	b, k := s.place(a, a.first())
	x := &event.ObjectAppended{
		Bucket: b, Offset: a.number("offset"), Size: a.number("size"), Etag: a.named["etag"], Owner: "alice", Acl: private("alice"), Condition: a.condition(),
	}
	if a.named["version"] != "" {
		x.Version = a.version(a.named["version"])
	}
	if a.named["blob"] != "" {
		blob := s.newBlob(a)
		blob.Size = x.Size - x.Offset
		if a.named["bytes"] != "" {
			blob.Size = a.number("bytes")
		}
		x.Blobs = []*event.Blob{blob}
	}
	return event.NewDraft(h, &event.Statement_ObjectAppended{ObjectAppended: x}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, k)
}

// expire kind=current [view=7] b/k@5.0 b/l@6.0
func expireCommand(s *script, a args, h *event.Header) *event.Draft {
	x := &event.ObjectsExpired{}
	if a.named["view"] != "" {
		x.View = a.number("view")
	}
	d := event.NewDraft(h, &event.Statement_ObjectsExpired{ObjectsExpired: x})
	kind := event.ExpiredKind_value["EXPIRED_KIND_"+strings.ToUpper(a.named["kind"])]
	for i, w := range a.words {
		at, version, _ := strings.Cut(w, "@")
		var k string
		x.Bucket, k = s.place(a, at)
		x.Targets = append(x.Targets, &event.ExpiredTarget{Version: a.version(version), Kind: event.ExpiredKind(kind)})
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, k)
	}
	return d
}

// restore b to=7 [seen=9] [source=3] k l
func restoreCommand(s *script, a args, h *event.Header) *event.Draft {
	b, _ := s.place(a, a.first())
	x := &event.ObjectsRestored{Bucket: b, Source: b, To: a.number("to"), Seen: s.Machine.Applied().Next, Keys: uint32(len(a.words) - 1)}
	if a.named["seen"] != "" {
		x.Seen = a.number("seen")
	}
	if a.named["source"] != "" {
		x.Source = a.number("source")
	}
	d := event.NewDraft(h, &event.Statement_ObjectsRestored{ObjectsRestored: x})
	for i, k := range a.words[1:] {
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, k)
	}
	return d
}

// bucketOrNone is a bucket by its name; "-": none.
func (s *script) bucketOrNone(a args, name string) uint64 {
	if name == "-" {
		return 0
	}
	b, _ := s.place(a, name)
	return b
}

func (a args) cursorKind() event.CursorKind {
	return event.CursorKind(event.CursorKind_value["CURSOR_KIND_"+strings.ToUpper(a.named["kind"])])
}

// cursor b name kind=feed from=0 to=5
func cursorCommand(s *script, a args, h *event.Header) *event.Draft {
	x := &event.CursorSet{Kind: a.cursorKind(), Bucket: s.bucketOrNone(a, a.first()), From: a.number("from"), To: a.number("to")}
	return event.NewDraft(h, &event.Statement_CursorSet{CursorSet: x}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, a.words[1])
}

func deleteCursorCommand(s *script, a args, h *event.Header) *event.Draft {
	x := &event.CursorDeleted{Kind: a.cursorKind(), Bucket: s.bucketOrNone(a, a.first())}
	return event.NewDraft(h, &event.Statement_CursorDeleted{CursorDeleted: x}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, a.words[1])
}

// shown is the object that a query means: the current one, or version=5.0, or version=null.
func (s *script) shown(v *View, a args, bucket uint64, k string) (*Object, error) {
	switch version := a.named["version"]; version {
	case "":
		return v.Object(bucket, k)
	case "null":
		return v.NullVersion(bucket, k)
	default:
		return v.Version(bucket, k, a.version(version))
	}
}

func describeSettings(b *Bucket) string {
	line := ""
	if b.Versioning != 0 {
		line += " versioning=" + strings.ToLower(strings.TrimPrefix(b.Versioning.String(), "VERSIONING_STATE_"))
	}
	if b.ObjectLock {
		line += " object-lock"
	}
	if b.DefaultMode != 0 {
		line += fmt.Sprintf(" default=%s/%dd/%dy", strings.TrimPrefix(b.DefaultMode.String(), "RETENTION_MODE_"), b.DefaultDays, b.DefaultYears)
	}
	if b.Quota != nil {
		line += fmt.Sprintf(" quota=%d/%d", b.Quota.Objects, b.Quota.Bytes)
	}
	return line
}

func describeLock(l *event.Lock) string {
	line := ""
	if l.GetMode() != 0 {
		line += fmt.Sprintf(" %s until=+%ds", strings.TrimPrefix(l.Mode.String(), "RETENTION_MODE_"), l.RetainUntil/1e9-1_800_000_000)
	}
	if l.GetLegalHold() {
		line += " hold"
	}
	return line
}

// versions b prefix=p delimiter=d after=k after-version=5.0 max=n at=seq
func versionsQuery(s *script, a args) []string {
	v, failed := s.moment(a)
	if failed != nil {
		return failed
	}
	defer v.Close()
	b, err := s.named(v, a, a.first())
	if err != nil || b == nil {
		return found([]string{"  no such bucket"}, err)
	}
	q := VersionQuery{Bucket: b.Bucket, Prefix: a.named["prefix"], Delimiter: a.named["delimiter"], After: a.named["after"], Max: 1000}
	if a.named["max"] != "" {
		q.Max = int(a.number("max"))
	}
	if a.named["after-version"] != "" {
		q.AfterVersion = a.version(a.named["after-version"])
	}
	items, more, err := v.ListVersions(q)
	var out []string
	for _, it := range items {
		line := "  " + it.Key
		switch o := it.Object; {
		case o == nil:
			line += " …"
		case o.DeleteMarker:
			line += " marker " + versionName(o.Version, o.NullVersion)
		default:
			line += fmt.Sprintf(" %s size=%d etag=%s", versionName(o.Version, o.NullVersion), o.Size, o.Etag)
		}
		if it.Latest {
			line += " latest"
		}
		out = append(out, line)
	}
	if more {
		out = append(out, "  and more")
	}
	return found(out, err)
}

// versioning sets the state of a bucket.
func (r *rig) versioning(bucket uint64, state event.VersioningState) {
	r.t.Helper()
	r.accept(event.NewDraft(r.header(), &event.Statement_BucketVersioningSet{BucketVersioningSet: &event.BucketVersioningSet{Bucket: bucket, State: state}}))
}
