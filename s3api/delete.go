package s3api

import (
	"context"
	"net/http"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// deleteObjects removes up to 1,000 objects by one event, with an outcome each.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
func (s *Server) deleteObjects(ctx context.Context, r *Request) (*Response, error) {
	if err := r.requireIntegrity(); err != nil {
		return nil, err
	}
	var doc s3xml.Delete
	if err := r.decodeXML(s3xml.MaxDeleteBody, &doc); err != nil {
		return nil, err
	}
	if len(doc.Objects) == 0 {
		return nil, s3err.New("MalformedXML")
	}
	bypass := r.asksBypass() // which each key must allow
	out := &s3xml.DeleteResult{}
	deleted := &event.ObjectsDeleted{Bucket: r.bucket.Bucket}
	d := event.NewDraft(nil, &event.Statement_ObjectsDeleted{ObjectsDeleted: deleted})
	var asked []*s3xml.ObjectIdentifier // those that apply decides on
	for i := range doc.Objects {
		id := &doc.Objects[i]
		target, decided, err := s.deleteTarget(r, id, bypass)
		if err != nil {
			r.deleteFailed(out, id, err)
			continue
		}
		if decided {
			r.deleteDone(out, id, nil, doc.Quiet)
			continue
		}
		d.AddText(event.ItemKind_ITEM_KIND_KEY, len(asked), id.Key)
		deleted.Targets = append(deleted.Targets, target)
		asked = append(asked, id)
	}
	r.closeView()
	if len(asked) > 0 {
		o, err := s.propose(ctx, r, d)
		if err != nil {
			return nil, err
		}
		for i, sub := range o.Subs {
			if sub.Refusal != event.Refusal_REFUSAL_NONE {
				r.deleteFailed(out, asked[i], s3err.FromRefusal(sub.Refusal))
				continue
			}
			r.deleteDone(out, asked[i], sub, doc.Quiet)
		}
	}
	return &Response{XML: out}, nil
}

// deleteTarget makes the target of one object. decided: there is nothing to
// delete and no condition on it, so no event is needed.
func (s *Server) deleteTarget(r *Request, id *s3xml.ObjectIdentifier, bypass bool) (t *event.DeleteTarget, decided bool, err error) {
	if len(id.Key) > maxKeyBytes {
		return nil, false, s3err.New("KeyTooLongError")
	}
	w := wanted{id.VersionID, id.VersionID != ""}
	q := question{action: r.op.action, bucket: r.bucket, key: id.Key, version: id.VersionID}
	if w.given {
		q.action = versionAction(q.action)
	}
	if err := s.decide(r, q); err != nil {
		return nil, false, err
	}
	if id.Size != nil && *id.Size < 0 {
		return nil, false, s3err.InvalidArgument("Size", i64toa(*id.Size), "Size must be non-negative")
	}
	if bypass && w.given {
		q.action = "s3:BypassGovernanceRetention"
		if err := s.alsoDecide(r, q); err != nil {
			return nil, false, err
		}
	}
	var c *event.Condition
	if id.ETag != nil || id.Size != nil || id.LastModifiedTime != nil {
		c = deleteConditionOf(id)
	}
	t, decided, err = s.newTarget(r, id.Key, w, c)
	if s3err.Is(err, "InvalidArgument") {
		err = s3err.New("NoSuchVersion") // no id at all
	}
	if t != nil {
		t.BypassGovernance = bypass
	}
	return t, decided, err
}

// newTarget makes the target of a delete, admitted and not foreseen to be refused.
func (s *Server) newTarget(r *Request, key string, w wanted, c *event.Condition) (t *event.DeleteTarget, decided bool, err error) {
	t = &event.DeleteTarget{Condition: c}
	if w.given {
		var v parsedVersion
		if err := v.parse(w.id); err != nil {
			return nil, false, err
		}
		v.target(t)
	}
	old, err := w.find(r.view, r.bucket, key)
	if err != nil {
		return nil, false, err
	}
	// Without a version a marker is made, whether there is something or not.
	decided = old == nil && c == nil && (w.given || !versioned(r.bucket))
	if old.GetDeleteMarker() {
		old = nil // no object to compare with
	}
	return t, decided, s.admitCondition(r, key, c, old)
}

func deleteConditionOf(id *s3xml.ObjectIdentifier) *event.Condition {
	c := &event.Condition{}
	if id.ETag != nil {
		c.IfMatch = []string{string(*id.ETag)}
	}
	if id.Size != nil {
		n := uint64(*id.Size)
		c.IfSize = &n
	}
	if id.LastModifiedTime != nil {
		t := int64(*id.LastModifiedTime)
		c.IfModifiedTime = &t
	}
	return c
}

// deleteDone tells of a success; sub is nil where there was nothing to do.
func (r *Request) deleteDone(out *s3xml.DeleteResult, id *s3xml.ObjectIdentifier, sub *event.SubOutcome, quiet bool) {
	r.log.deleted(r.bucket, id, http.StatusNoContent, "")
	if quiet {
		return
	}
	d := s3xml.DeletedObject{Key: id.Key, VersionID: id.VersionID}
	if sub.GetDeleteMarker() {
		d.DeleteMarker, d.DeleteMarkerVersionID = true, versionID(sub.Version, sub.NullVersion)
	}
	out.Deleted = append(out.Deleted, d)
}

func (r *Request) deleteFailed(out *s3xml.DeleteResult, id *s3xml.ObjectIdentifier, err error) {
	e := s3err.From(err)
	r.log.deleted(r.bucket, id, e.Status, e.Code)
	out.Errors = append(out.Errors, s3xml.DeleteError{Key: id.Key, VersionID: id.VersionID, Code: e.Code, Message: e.Message})
}

// requestedTarget makes the target of a DeleteObject, which newTarget explains.
func (s *Server) requestedTarget(r *Request) (t *event.DeleteTarget, decided bool, err error) {
	c, err := r.deleteCondition()
	if err != nil {
		return nil, false, err
	}
	bypass, err := s.bypass(r)
	if err != nil {
		return nil, false, err
	}
	w := r.wantedVersion()
	if w.given && w.id == "" {
		return nil, false, s3err.InvalidArgument("versionId", w.id, "Version id cannot be the empty string")
	}
	if t, decided, err = s.newTarget(r, r.Key, w, c); err != nil {
		return nil, false, err
	}
	t.BypassGovernance = bypass
	return t, decided, nil
}

// deleteObject removes an object, or puts a marker above it where its bucket keeps
// versions; with a version id it removes that version for good. That there is nothing
// to remove is a success.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
func (s *Server) deleteObject(ctx context.Context, r *Request) (*Response, error) {
	target, decided, err := s.requestedTarget(r)
	if err != nil {
		return nil, err
	}
	resp := noContent()
	resp.Header = http.Header{}
	if w := r.wantedVersion(); w.given && versioned(r.bucket) {
		resp.Header.Set("X-Amz-Version-Id", w.id)
	}
	if decided {
		return resp, nil // no event
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_ObjectsDeleted{ObjectsDeleted: &event.ObjectsDeleted{
		Bucket: r.bucket.Bucket, Targets: []*event.DeleteTarget{target},
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		return nil, err
	}
	sub := o.Subs[0]
	if sub.Refusal != event.Refusal_REFUSAL_NONE {
		return nil, s3err.FromRefusal(sub.Refusal)
	}
	if sub.DeleteMarker {
		resp.Header.Set("X-Amz-Delete-Marker", "true")
		resp.Header.Set("X-Amz-Version-Id", versionID(sub.Version, sub.NullVersion))
	}
	return resp, nil
}
