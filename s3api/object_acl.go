package s3api

import (
	"context"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getObjectACL returns the access control list of an object.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html
func (s *Server) getObjectACL(_ context.Context, r *Request) (*Response, error) {
	acl, err := r.shownACL(r.object.Acl)
	if err != nil {
		return nil, err
	}
	return &Response{XML: r.aclXML(acl)}, nil
}

// putObjectACL replaces the access control list of an object.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
func (s *Server) putObjectACL(ctx context.Context, r *Request) (*Response, error) {
	document, err := r.readDocument(s3xml.MaxBody)
	if err != nil {
		return nil, err
	}
	return s.changeVersion(ctx, r, func(ctx context.Context, r *Request) (*Response, error) {
		acl, err := r.newACL(document, r.object.Owner, r.bucket.Owner, false)
		if err != nil || acl == nil {
			return &Response{}, err
		}
		r.closeView()
		_, err = s.propose(ctx, r, event.NewDraft(nil, &event.Statement_ObjectAclSet{ObjectAclSet: &event.ObjectACLSet{
			Bucket: r.bucket.Bucket, Version: r.object.Version, Acl: acl,
		}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key))
		return &Response{}, err
	})
}
