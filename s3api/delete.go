package s3api

import (
	"context"

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
	out := &s3xml.DeleteResult{}
	deleted := &event.ObjectsDeleted{Bucket: r.bucket.Bucket}
	d := event.NewDraft(nil, &event.Statement_ObjectsDeleted{ObjectsDeleted: deleted})
	var asked []*s3xml.ObjectIdentifier // those that apply decides on
	for i := range doc.Objects {
		id := &doc.Objects[i]
		target, decided, err := s.deleteTarget(r, id)
		if err != nil {
			deleteFailed(out, id, err)
			continue
		}
		if decided {
			deleteDone(out, id, doc.Quiet)
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
				deleteFailed(out, asked[i], s3err.FromRefusal(sub.Refusal))
				continue
			}
			deleteDone(out, asked[i], doc.Quiet)
		}
	}
	return &Response{XML: out}, nil
}

// deleteTarget makes the target of one object. decided: there is nothing to
// delete and no condition on it, so no event is needed.
func (s *Server) deleteTarget(r *Request, id *s3xml.ObjectIdentifier) (t *event.DeleteTarget, decided bool, err error) {
	t = &event.DeleteTarget{}
	if len(id.Key) > maxKeyBytes {
		return nil, false, s3err.New("KeyTooLongError")
	}
	q := question{action: r.op.action, bucket: r.bucket, key: id.Key, version: id.VersionID}
	if id.VersionID != "" {
		q.action = versionAction(q.action)
	}
	if err := s.decide(r, q); err != nil {
		return nil, false, err
	}
	if id.VersionID != "" {
		var v parsedVersion
		if err := v.parse(id.VersionID); err != nil {
			return nil, false, s3err.New("NoSuchVersion")
		}
		v.target(t)
	}
	old, err := r.view.Object(r.bucket.Bucket, id.Key)
	if err != nil {
		return nil, false, err
	}
	if id.Size != nil && *id.Size < 0 {
		return nil, false, s3err.InvalidArgument("Size", i64toa(*id.Size), "Size must be non-negative")
	}
	if id.ETag != nil || id.Size != nil || id.LastModifiedTime != nil {
		t.Condition = deleteConditionOf(id)
	}
	return t, old == nil && t.Condition == nil, s.admitCondition(r, id.Key, t.Condition, old)
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

func deleteDone(out *s3xml.DeleteResult, id *s3xml.ObjectIdentifier, quiet bool) {
	if !quiet {
		out.Deleted = append(out.Deleted, s3xml.DeletedObject{Key: id.Key, VersionID: id.VersionID})
	}
}

func deleteFailed(out *s3xml.DeleteResult, id *s3xml.ObjectIdentifier, err error) {
	e := s3err.From(err)
	out.Errors = append(out.Errors, s3xml.DeleteError{Key: id.Key, VersionID: id.VersionID, Code: e.Code, Message: e.Message})
}
