package fsm

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"ironman/wal/event"
)

// queries answers the commands that change nothing but the script.
var queries = map[string]func(*script, args) []string{
	// open window=8: begin anew with other options.
	"open": func(s *script, a args) []string {
		s.close()
		s.rig = newRig(s.t, Options{Window: a.number("window")})
		s.stamp = 1_800_000_000e9 - 1e9
		return nil
	},
	"reopen": func(s *script, a args) []string {
		if err := s.Flush(); err != nil {
			s.t.Fatal(err)
		}
		s.close()
		s.Machine = memory(s.t, s.options)
		return nil
	},
	// wait 15m: the next entry's stamp is so much later.
	"wait": func(s *script, a args) []string {
		a.named["d"] = a.first()
		s.stamp += a.duration("d")
		return nil
	},
	// entry "\x01": bytes that are no event's.
	"malformed": func(s *script, a args) []string {
		s.index++
		r := s.Apply([]Entry{{Index: s.index, Term: 1, Data: []byte(a.named["bytes"])}})[0]
		return []string{describeResult(r)}
	},
	"list":     listQuery,
	"versions": versionsQuery,
	"erasures": erasuresQuery,
	"reads":    readsQuery,
	"cursors": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		entries, err := v.Cursors(s.bucketOrNone(a, a.first()))
		var out []string
		for _, e := range entries {
			out = append(out, fmt.Sprintf("  %s %s next=%d time=+%ds", strings.TrimPrefix(e.Kind.String(), "CURSOR_KIND_"), e.Name, e.Row.Next, e.Row.Time/1e9-1_800_000_000))
		}
		return found(out, err)
	},
	"holdings": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		h, err := v.Holdings(canonical(a.first()))
		if h == nil {
			return found(nil, err)
		}
		return found([]string{fmt.Sprintf("  objects=%d bytes=%d of objects=%d bytes=%d", h.Objects, h.Bytes, h.Quota.GetObjects(), h.Quota.GetBytes())}, err)
	},
	"uploads": uploadsQuery,
	"show":    showQuery,
	"blob":    blobQuery,
	"due":     dueQuery,
	"buckets": func(s *script, a args) []string {
		v, failed := s.moment(a)
		if failed != nil {
			return failed
		}
		defer v.Close()
		entries, err := v.ListBuckets(a.named["owner"], "", "", 100)
		var out []string
		for _, e := range entries {
			out = append(out, fmt.Sprintf("  %s %d", e.Name, e.Row.Bucket))
		}
		return found(out, err)
	},
	"parts": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		parts, err := v.Parts(s.uploads[a.first()].id, uint32(a.number("above")), 100)
		var out []string
		for _, p := range parts {
			out = append(out, fmt.Sprintf("  %d stored=%d size=%d etag=%s", p.Number, p.Seq, p.Size, p.Etag))
		}
		return found(out, err)
	},
	"usage": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		b, _ := s.place(a, a.first())
		u, err := v.Usage(b)
		line := fmt.Sprintf("  objects=%d bytes=%d uploads=%d", u.Objects, u.Bytes, u.Uploads)
		if u.Noncurrent+u.PartBytes > 0 {
			line += fmt.Sprintf(" noncurrent=%d/%d parts=%d", u.Noncurrent, u.NoncurrentBytes, u.PartBytes)
		}
		return found([]string{line}, err)
	},
	"nodes": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		nodes, err1 := v.Nodes()
		c, err2 := v.Cluster()
		var out []string
		for _, p := range c.GetPastEpochs() {
			out = append(out, fmt.Sprintf("  ledger %q %q until %d", p.LedgerOrigin, p.LedgerKey, p.End))
		}
		out = append(out, fmt.Sprintf("  ledger %q %q", c.GetLedgerOrigin(), c.GetLedgerKey()))
		for _, n := range nodes {
			line := fmt.Sprintf("  %d key=%s incarnation=%d", n.Node, n.PublicKey, n.Incarnation)
			if n.Removed {
				line += " removed"
			}
			out = append(out, line)
		}
		return found(out, errors.Join(err1, err2))
	},
	"packs": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		packs, err := v.Packs(uint32(a.parse(a.first())))
		var out []string
		for _, p := range packs {
			line := fmt.Sprintf("  %d:%d shards=%d bytes=%d", p.ID.Incarnation, p.ID.Counter, p.Row.LiveShards, p.Row.LiveBytes)
			if p.Row.Released {
				line += " released"
			}
			out = append(out, line)
		}
		return found(out, err)
	},
	"key": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		k, err := v.AccessKey(a.first())
		if k == nil {
			return found(nil, err)
		}
		return found([]string{fmt.Sprintf("  account=%s user=%s active=%v", k.Account, k.User, k.Active)}, err)
	},
	"who": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		x, err := v.AccountByID(a.named["account"])
		if a.named["email"] != "" {
			x, err = v.AccountByEmail(a.named["email"])
		}
		if x == nil {
			return found(nil, err)
		}
		return found([]string{fmt.Sprintf("  %s %s %q %s…", x.Account, x.Email, x.Name, x.CanonicalId[:4])}, err)
	},
	"history": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		to, ok, err := v.HistoryFrom(s.bucketOrNone(a, cmp.Or(a.named["of"], "-")))
		if !ok {
			return found(nil, err)
		}
		return found([]string{fmt.Sprintf("  from %d", to)}, err)
	},
	// retention b, or - for the cluster
	"retention": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		bucket := s.bucketOrNone(a, a.first())
		oldest, err := v.OldestOf(bucket)
		r, err2 := v.Retention(bucket)
		if r == nil {
			return found([]string{fmt.Sprintf("  the cluster's, from %d", oldest)}, errors.Join(err, err2))
		}
		return found([]string{fmt.Sprintf("  inherits=%v history=%v strict=%v trimmed=%d gathering=%v, from %d",
			r.Inherits, time.Duration(r.History), r.Strict, r.Trimmed, r.Gathering, oldest)}, errors.Join(err, err2))
	},
	// seq-at 60: the first event a minute or more after genesis.
	"seq-at": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		seq, err := v.SeqAt(1_800_000_000 + int64(a.parse(a.first())))
		return found([]string{fmt.Sprintf("  %d", seq)}, err)
	},
}

// found is what a query found.
func found(lines []string, err error) []string {
	if err != nil {
		return []string{"  " + err.Error()}
	}
	if len(lines) == 0 {
		return []string{"  nothing"}
	}
	return lines
}

// moment is the view that a query with at=seq wants, or why there is none.
func (s *script) moment(a args) (*View, []string) {
	if a.named["at"] == "" {
		return s.view(), nil
	}
	v, bucket := s.view(), uint64(0)
	if len(a.words) > 0 {
		bucket, _ = s.place(a, a.first())
	}
	past, err := v.AtIn(bucket, a.number("at"))
	if err == nil {
		return past, nil
	}
	if !errors.Is(err, ErrTrimmed) {
		s.t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		s.t.Fatal(err)
	}
	return nil, []string{"  not kept"}
}

// named is a bucket by its name, or (#7) by its number.
func (s *script) named(v *View, a args, text string) (*Bucket, error) {
	if id, ok := strings.CutPrefix(text, "#"); ok {
		return v.Bucket(a.parse(id))
	}
	return v.BucketByName(text)
}

// list b prefix=p delimiter=d after=k max=n at=seq
func listQuery(s *script, a args) []string {
	v, failed := s.moment(a)
	if failed != nil {
		return failed
	}
	defer v.Close()
	b, err := s.named(v, a, a.first())
	if err != nil || b == nil {
		return found([]string{"  no such bucket"}, err)
	}
	q := ListQuery{Bucket: b.Bucket, Prefix: a.named["prefix"], Delimiter: a.named["delimiter"], After: a.named["after"], Max: 1000}
	if a.named["max"] != "" {
		q.Max = int(a.number("max"))
	}
	l, err := v.ListObjects(q)
	if err != nil {
		return found(nil, err)
	}
	var out []string
	for _, it := range l.Items {
		if it.Object == nil {
			out = append(out, "  "+it.Key+" …")
			continue
		}
		out = append(out, fmt.Sprintf("  %s %s size=%d etag=%s", it.Key, versionName(it.Object.Version, it.Object.NullVersion), it.Object.Size, it.Object.Etag))
	}
	if l.Truncated {
		out = append(out, "  and more")
	}
	return found(out, nil)
}

func uploadsQuery(s *script, a args) []string {
	v := s.view()
	defer v.Close()
	b, _ := s.place(a, a.first())
	q := UploadQuery{Bucket: b, Prefix: a.named["prefix"], Delimiter: a.named["delimiter"], After: a.named["after"], Max: 1000}
	if a.named["max"] != "" {
		q.Max = int(a.number("max"))
	}
	if a.named["after-upload"] != "" {
		q.AfterUpload = a.version(a.named["after-upload"])
	}
	items, more, err := v.ListUploads(q)
	var out []string
	for _, it := range items {
		if it.Upload == nil {
			out = append(out, "  "+it.Prefix+" …")
			continue
		}
		out = append(out, fmt.Sprintf("  %s %s", it.Upload.Key, describeVersion(it.Upload.Upload)))
	}
	if more {
		out = append(out, "  and more")
	}
	return found(out, err)
}

// show b/k, or show b for the bucket itself, at=seq
func showQuery(s *script, a args) []string {
	v, failed := s.moment(a)
	if failed != nil {
		return failed
	}
	defer v.Close()
	bucket, k, isObject := strings.Cut(a.first(), "/")
	b, err := s.named(v, a, bucket)
	if err != nil || b == nil {
		return found([]string{"  no such bucket"}, err)
	}
	if !isObject {
		line := fmt.Sprintf("  bucket=%d owner=%s acl=%s", b.Bucket, b.Owner, describeACL(b.Acl))
		for kind := event.DocumentKind(1); event.DocumentKind_name[int32(kind)] != ""; kind++ {
			d, err := v.Document(b.Bucket, kind)
			if err != nil {
				return found(nil, err)
			}
			if d != nil {
				if b.Lists(kind) {
					line += " listed"
				}
				line += fmt.Sprintf(" %s=%q", strings.ToLower(strings.TrimPrefix(kind.String(), "DOCUMENT_KIND_")), d.Text)
			}
		}
		return []string{line + describeSettings(b)}
	}
	o, err := s.shown(v, a, b.Bucket, k)
	if err != nil || o == nil {
		return found(nil, err)
	}
	if o.DeleteMarker {
		return found([]string{fmt.Sprintf("  marker %s time=+%ds owner=%s", versionName(o.Version, o.NullVersion), o.Time/1e9-1_800_000_000, o.Owner)}, nil)
	}
	segments, parts, err := v.Body(o)
	line := fmt.Sprintf("  %s size=%d etag=%s time=+%ds acl=%s body=", versionName(o.Version, o.NullVersion), o.Size, o.Etag, o.Time/1e9-1_800_000_000, describeACL(o.Acl))
	for i, x := range segments {
		if i > 0 {
			line += "+"
		}
		line += fmt.Sprintf("%d:%d[%d:%d]", x.Blob.Incarnation, x.Blob.Counter, x.Offset, x.Offset+x.Length)
	}
	if parts != nil {
		line += fmt.Sprintf(" parts=%d", len(parts))
	}
	line += describeLock(o.Lock)
	for _, g := range o.Tags.GetTags() {
		line += fmt.Sprintf(" tag=%s:%s", g.Key, g.Value)
	}
	return found([]string{line}, err)
}

func describeACL(a *event.ACL) string {
	var out []string
	for _, g := range a.GetGrants() {
		who := g.Grantee
		if who == "" {
			who = "all"
		}
		out = append(out, who+":"+strings.TrimPrefix(g.Permission.String(), "PERMISSION_"))
	}
	return strings.Join(out, ",")
}

// blob 1:2: its row
func blobQuery(s *script, a args) []string {
	v := s.view()
	defer v.Close()
	var out []string
	for _, id := range a.blobIDs(a.words) {
		r, err := read[BlobRow](v, blobKey(tableBlob, id))
		if err != nil {
			return found(nil, err)
		}
		if r == nil {
			out = append(out, "  nothing")
			continue
		}
		line := fmt.Sprintf("  refs=%d", r.Refs)
		if r.Due != 0 {
			line += fmt.Sprintf(" due=+%ds", r.Due/1e9-1_800_000_000)
		}
		for _, x := range r.Blob.Shards {
			line += fmt.Sprintf(" disk=%d/%d:%d/g%d", x.Disk, x.Pack.GetIncarnation(), x.Pack.GetCounter(), x.Generation)
		}
		out = append(out, line)
	}
	return out
}

// due: what may be released at the log time of the last event, or after=15m later.
func dueQuery(s *script, a args) []string {
	v := s.view()
	defer v.Close()
	blobs, assemblies, err := v.Due(v.Applied().Time+a.duration("after"), 100)
	var out []string
	for _, b := range blobs {
		out = append(out, fmt.Sprintf("  blob %d:%d", b.Incarnation, b.Counter))
	}
	for _, x := range assemblies {
		out = append(out, "  assembly "+describeVersion(x))
	}
	return found(out, err)
}
