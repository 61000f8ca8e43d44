package s3api

import (
	"context"
	"net/http"

	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// maxPutBytes is the largest object of one PUT, and the largest part.
const maxPutBytes = 5 << 30

// putObject stores an object, or appends to one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
func (s *Server) putObject(ctx context.Context, r *Request) (*Response, error) {
	if r.Header.Get(appendHeader) != "" {
		return s.appendObject(ctx, r)
	}
	put, err := s.newPut(r)
	if err != nil {
		return nil, err
	}
	to, err := r.newSealing()
	if err != nil {
		return nil, err
	}
	headers, tags, err := r.stored()
	if err != nil {
		return nil, err
	}
	old, err := r.view.Object(r.bucket.Bucket, r.Key)
	if err != nil {
		return nil, err
	}
	if err := s.foresee(r, put.Condition, old); err != nil {
		return nil, err
	}
	if err := r.roomForObject(r.identity.DecodedLength, old); err != nil {
		return nil, err
	}
	rules, err := r.lifecycleRules()
	if err != nil {
		return nil, err
	}
	r.closeView()
	blobs, body, err := s.receive(ctx, r, sums{algorithm: ownChecksum}, to)
	if err != nil {
		return nil, err
	}
	put.Blobs, put.Size, put.Etag, put.Checksum = blobs, uint64(body.size), body.etag, body.checksum
	put.Encryption = body.encryption
	d := event.NewDraft(nil, &event.Statement_ObjectPut{ObjectPut: put}).
		AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key).
		AddMessage(event.ItemKind_ITEM_KIND_HEADERS, 0, headers).
		AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		s.abandon(blobs)
		return nil, err
	}
	resp := &Response{Header: http.Header{"Etag": {`"` + put.Etag + `"`}}}
	setNewVersion(resp.Header, o.Version, o.NullVersion)
	setChecksum(resp.Header, put.Checksum, put.Etag)
	to.headers(resp.Header)
	setExpiration(resp.Header, rules, r.Key, body.size, o.Time, tags)
	return resp, nil
}

// newPut reads what PutObject, CopyObject and CreateMultipartUpload share.
func (s *Server) newPut(r *Request) (*event.ObjectPut, error) {
	if r.Query.Has("partNumber") {
		return nil, s3err.InvalidArgument("partNumber", r.Query.Get("partNumber"), "This operation does not accept partNumber without uploadId")
	}
	if r.Query.Has("versionId") {
		return nil, s3err.InvalidArgument("versionId", r.Query.Get("versionId"), "This operation does not accept a version-id.")
	}
	if err := r.refuseHeaders(appendHeader); err != nil {
		return nil, err
	}
	owner, acl, err := r.newObjectACL()
	if err != nil {
		return nil, err
	}
	class, err := r.storageClassHeader()
	if err != nil {
		return nil, err
	}
	c, err := r.writeCondition()
	if err != nil {
		return nil, err
	}
	lock, err := s.headerLock(r)
	if err != nil {
		return nil, err
	}
	return &event.ObjectPut{Bucket: r.bucket.Bucket, Owner: owner, Acl: acl, StorageClass: class, Condition: c, Lock: lock}, nil
}
