package s3api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// appendObject puts the request's bytes behind those of an object: PutObject with
// x-amz-write-offset-bytes, which must be the size that the object has (0 makes a new
// one). The entity tag of what has grown is opaque: nobody reads the older bytes again.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-append.html
func (s *Server) appendObject(ctx context.Context, r *Request) (*Response, error) {
	v := r.Header.Get(appendHeader)
	offset, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return nil, s3err.InvalidArgument("x-amz-write-offset-bytes", v, "The write offset must be a number of bytes.")
	}
	r.Header = r.Header.Clone()
	r.Header.Del(appendHeader)
	put, err := s.newPut(r)
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
	if err := s.admitAppend(r, old, put.Owner); err != nil {
		return nil, err
	}
	if err := s.foresee(r, put.Condition, old); err != nil {
		return nil, err
	}
	if err := r.refuseChange(old); err != nil {
		return nil, err
	}
	to, err := r.appendSealing(old)
	if err != nil {
		return nil, err
	}
	if old.GetSize() != offset || old == nil && offset != 0 {
		return nil, s3err.New("InvalidWriteOffset")
	}
	if put.Lock != nil {
		return nil, s3err.Newf("InvalidRequest", "An append cannot be locked.")
	}
	if err := r.roomFor(0, r.identity.DecodedLength); err != nil {
		return nil, err
	}
	r.closeView()
	blobs, body, err := s.receive(ctx, r, sums{algorithm: ownChecksum}, to)
	if err != nil {
		return nil, err
	}
	grown := &event.ObjectAppended{
		Bucket: put.Bucket, Version: old.GetVersion(), Blobs: blobs, Offset: offset, Size: offset + uint64(body.size),
		Owner: put.Owner, Acl: put.Acl, StorageClass: put.StorageClass, Condition: put.Condition,
	}
	grown.Encryption = body.encryption
	grown.Etag, grown.Checksum = appendedTag(old, body)
	d := event.NewDraft(nil, &event.Statement_ObjectAppended{ObjectAppended: grown}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	if old == nil {
		d.AddMessage(event.ItemKind_ITEM_KIND_HEADERS, 0, headers).AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
	}
	o, err := s.propose(ctx, r, d)
	if err != nil {
		s.abandon(blobs)
		return nil, err
	}
	resp := &Response{Header: http.Header{"Etag": {`"` + grown.Etag + `"`}, "X-Amz-Object-Size": {strconv.FormatUint(grown.Size, 10)}}}
	setNewVersion(resp.Header, o.Version, o.NullVersion)
	setChecksum(resp.Header, grown.Checksum, grown.Etag)
	to.headers(resp.Header)
	return resp, nil
}

// admitAppend decides on an append to an object that is there. The offset, and the size
// and checksum of the answer, tell of its bytes: that takes the right to read them. What
// has grown keeps its owner and access control list, so that only whoever's new object
// would be the same owner's may put bytes under that name, or the bucket's owner.
func (s *Server) admitAppend(r *Request, old *fsm.Object, owner string) error {
	if old == nil {
		return nil
	}
	kept := r.reason // the event's reason is that of the write
	err := s.admitRow(r, "s3:GetObject", r.bucket, r.Key, old, wanted{})
	r.reason = kept
	if err != nil {
		return err
	}
	rules, err := r.rules(r.bucket)
	if err != nil {
		return err
	}
	if !rules.aclsDisabled() && old.Owner != owner && r.principal.Owner() != r.bucket.Owner {
		return s3err.New("AccessDenied")
	}
	return nil
}

// refuseChange refuses what an append says of an object that is there and cannot become
// true: what stands beside the old bytes stands beside all of them. Silence would promise
// a lock, a tag or a seal that nobody gets.
func (r *Request) refuseChange(old *fsm.Object) error {
	if old == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if v := r.Header.Get(name); v != "" && (name == "X-Amz-Tagging" || name == "X-Amz-Acl" || strings.HasPrefix(name, "X-Amz-Grant-")) {
			return appendKeeps(name, v)
		}
	}
	if v := r.Header.Get("X-Amz-Storage-Class"); v != "" && v != cmp.Or(old.StorageClass, "STANDARD") {
		return appendKeeps("X-Amz-Storage-Class", v)
	}
	return r.refuseOtherSealing(old.Encryption)
}

// refuseOtherSealing refuses headers that name another encryption than the object's. A
// client's own key is compared by itself.
func (r *Request) refuseOtherSealing(e *event.Encryption) error {
	is := make(http.Header)
	encryptionHeaders(is, e, nil)
	for _, name := range []string{sseHeader, sseKeyIDHeader} {
		if v := r.Header.Get(name); v != "" && v != is.Get(name) {
			return appendKeeps(name, v)
		}
	}
	if v := r.Header.Get(sseBucketKey); v != "" && strings.EqualFold(v, "true") != e.GetBucketKey() {
		return appendKeeps(sseBucketKey, v)
	}
	context, err := r.encryptionContext()
	if err == nil && context != "" && context != e.GetContext() {
		err = appendKeeps(sseContextHeader, r.Header.Get(sseContextHeader))
	}
	return err
}

func appendKeeps(name, value string) error {
	return s3err.InvalidArgument(strings.ToLower(name), value, "An append changes nothing but the bytes of an object that is there.")
}

// appendedTag is the entity tag of an object and of bytes behind it, and the checksum of
// both together, where it can be told from those of each.
func appendedTag(old *fsm.Object, body *received) (string, *event.Checksum) {
	if old == nil || old.Size == 0 {
		return body.etag, body.checksum
	}
	d := checksum.New(checksum.Want{})
	d.Write([]byte(old.Etag + " " + old.Version.ID() + " " + body.etag))
	return checksum.ETag(d.Sums().MD5), appendedChecksum(old, body)
}

func appendedChecksum(old *fsm.Object, body *received) *event.Checksum {
	a, b := old.Checksum, body.checksum
	if a.GetAlgorithm() != b.GetAlgorithm() || a.GetComposite() {
		return nil
	}
	both, err := checksum.FullObject(a.GetAlgorithm(), []checksum.Part{
		{Value: a.GetValue(), Size: old.Size}, {Value: b.GetValue(), Size: uint64(body.size)},
	})
	if err != nil {
		return nil // of an algorithm that has none
	}
	return both
}
