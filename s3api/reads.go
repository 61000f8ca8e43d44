package s3api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/wal/event"
)

// What is recorded of reads is who was given, or refused, the bytes of which object: GET and
// HEAD of objects and their versions, pages of websites, and the sources of copies, whose
// bytes become readable elsewhere. A HEAD is among them because it answers what a GET would.
// Listings, tags and ACLs are not: they tell of names, not of what is stored under them.

// readNotes are the sources that a request looked for.
type readNotes struct {
	sources []*sourceNote
	begun   bool // it is counted as under way
}

// sourceNote is a source of a copy, and what was decided on it.
type sourceNote struct {
	name, key, version string
	bucket             uint64 // 0: there is none of the name
	object             *event.Version
	reason             *event.Reason
}

// noteSource notes that the source of a copy is looked for; a request that is decided on anew
// looks for the same ones. Nil: reads are not recorded.
func (r *Request) noteSource(bucket, key, version string) *sourceNote {
	if r.reads == nil {
		return nil
	}
	for _, n := range r.reads.sources {
		if n.name == bucket && n.key == key && n.version == version {
			return n
		}
	}
	n := &sourceNote{name: bucket, key: key, version: version}
	r.reads.sources = append(r.reads.sources, n)
	return n
}

func (n *sourceNote) in(b *fsm.Bucket) {
	if n != nil {
		n.bucket = b.GetBucket()
	}
}

// decided notes which version may be read, or that none may.
func (n *sourceNote) decided(o *fsm.Object, why *event.Reason, err error) {
	if n == nil {
		return
	}
	n.reason = why
	if n.object = nil; err == nil {
		n.object = o.GetVersion()
	}
}

// recordReads tells of a request that was answered.
func (s *Server) recordReads(out *answer, r *Request, start time.Time) {
	if r.reads == nil || r.op == nil {
		return
	}
	if r.readsObject() {
		d := r.readDraft(out, start)
		d.Bucket, d.Key = r.Bucket, r.Key
		read := d.Read
		read.Kind, read.Bucket, read.Object, read.Reason = event.ReadKind_READ_KIND_READ, r.bucket.GetBucket(), r.object.GetVersion(), r.reason
		read.Version, read.Range = readable(r.Query.Get("versionId")), readable(r.HTTP.Header.Get("Range"))
		read.Sent, read.Broken = uint64(out.sent), out.broken || out.failed
		if r.past != nil {
			read.AsOf = r.past.next
		}
		if asked := strings.TrimPrefix(r.HTTP.URL.Path, "/"); r.op.name == "WebsiteGet" && read.Code != "" && asked != "" && checkKey(asked) == nil {
			d.Key, read.Object, read.Reason = asked, nil, nil // a site answers with another object, if with any
		}
		s.Reads.Add(d)
	}
	if r.op.header == "X-Amz-Copy-Source" && len(r.reads.sources) == 0 { // it was refused before its source was looked for
		if bucket, key, version, err := parseCopySource(r.HTTP.Header.Get("X-Amz-Copy-Source")); err == nil {
			r.noteSource(bucket, key, version)
		}
	}
	for _, n := range r.reads.sources {
		d := r.readDraft(out, start)
		d.Bucket, d.Key = n.name, n.key
		read := d.Read
		read.Kind, read.Bucket, read.Object, read.Reason = event.ReadKind_READ_KIND_COPY_SOURCE, n.bucket, n.object, n.reason
		read.Version, read.Range = readable(n.version), readable(r.Header.Get("X-Amz-Copy-Source-Range"))
		s.Reads.Add(d)
	}
}

// beginRead counts a request that is to have a record, until endRead: what a stop cuts off has none.
func (r *Request) beginRead() {
	if r.reads != nil && r.op != nil && (r.readsObject() || r.op.header == "X-Amz-Copy-Source") {
		r.reads.begun = true
		r.server.readsUnderWay.Add(1)
	}
}

func (r *Request) endRead() {
	if r.reads != nil && r.reads.begun {
		r.reads.begun = false
		r.server.readsUnderWay.Add(-1)
	}
}

// ReadsUnderWay is how many reads have no record yet that are to have one.
func (s *Server) ReadsUnderWay() int64 { return s.readsUnderWay.Load() }

// readsObject tells whether a request asks for the bytes of an object, or for what a GET
// would answer.
func (r *Request) readsObject() bool {
	get := r.HTTP.Method == http.MethodGet || r.HTTP.Method == http.MethodHead
	return get && slices.Contains([]string{"GetObject", "HeadObject", "WebsiteGet"}, r.op.name)
}

// readDraft is what all records of a request have in common.
func (r *Request) readDraft(out *answer, start time.Time) *event.ReadDraft {
	c := r.client()
	c.AccessKey = strings.ToValidUTF8(c.AccessKey[:min(len(c.AccessKey), 128)], "?")
	code := cmp.Or(out.code, out.w.Header().Get("X-Amz-Error-Code")) // of a website's page
	return &event.ReadDraft{
		Time: r.server.Now().UnixNano(), RequestID: r.ID[:], Principal: r.principalID(), Client: c,
		Read: &event.Read{Operation: r.Operation(), Status: uint32(out.status), Code: code, Began: start.UnixNano()},
	}
}

// readable is what a client sent that stays in the record for ever: nothing but what names
// a version or a range.
func readable(s string) string {
	const all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=, "
	if len(s) > 128 || strings.Trim(s, all) != "" {
		return "unreadable"
	}
	return s
}
