package s3api

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// maxBuckets is the most that one page of ListBuckets returns.
const maxBuckets = 10000

// listBuckets lists the caller's buckets.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
func (s *Server) listBuckets(_ context.Context, r *Request) (*Response, error) {
	max, err := r.intQuery("max-buckets", maxBuckets, 1, maxBuckets)
	if err != nil {
		return nil, err
	}
	prefix, above := r.Query.Get("prefix"), ""
	if token := r.Query.Get("continuation-token"); token != "" {
		if above, err = decodeToken(token); err != nil {
			return nil, err
		}
	}
	var found []fsm.BucketEntry
	if region := r.Query.Get("bucket-region"); region == "" || region == s.Region {
		if found, err = r.view.ListBuckets(r.account.GetCanonicalId(), prefix, above, max+1); err != nil {
			return nil, err
		}
	}
	out := &s3xml.ListAllMyBucketsResult{Owner: *r.owner(r.account.GetCanonicalId()), Prefix: prefix}
	if len(found) > max {
		found = found[:max]
		out.ContinuationToken = encodeToken(found[max-1].Name)
	}
	for _, b := range found {
		out.Buckets = append(out.Buckets, s3xml.Bucket{Name: b.Name, CreationDate: s3xml.Time(b.Row.Time), BucketRegion: s.Region})
	}
	return &Response{XML: out}, nil
}

// createBucket makes a bucket. Making it again is a success for its owner in
// us-east-1 and a conflict elsewhere, as with Amazon; with another access control list it is
// a conflict everywhere, where Amazon would set that.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
func (s *Server) createBucket(ctx context.Context, r *Request) (*Response, error) {
	if !validBucketName(r.Bucket) {
		return nil, s3err.New("InvalidBucketName").With("BucketName", r.Bucket)
	}
	owner := r.account.GetCanonicalId()
	acl, err := r.headerACL(owner, "", true)
	if err != nil {
		return nil, err
	}
	d := event.NewDraft(nil, &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{
		Owner: owner, Region: s.Region, Acl: acl,
		ObjectLock: r.asksLock(),
	}}).AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, r.Bucket)
	if err := r.addOwnership(d, acl); err != nil {
		return nil, err
	}
	if err := s.addConfiguration(r, d); err != nil {
		return nil, err
	}
	if d.Statement.GetBucketCreated().ObjectLock {
		if err := r.checkDocumentLevel(); err != nil { // below it nothing would bind
			return nil, err
		}
	}
	existing, err := r.view.BucketByName(r.Bucket)
	if err != nil {
		return nil, err
	}
	if existing != nil {
		// The view shows the refusal already: no event, or clients could grow the log.
		return s.bucketExists(r, existing, acl)
	}
	o, err := s.propose(ctx, r, d)
	if o.GetRefusal() == event.Refusal_REFUSAL_BUCKET_OWNED {
		return s.bucketExists(r, nil, acl)
	}
	if err != nil {
		return nil, err
	}
	return &Response{Header: http.Header{"Location": {"/" + r.Bucket}}}, nil
}

// asksLock reports whether the objects of a new bucket are to be lockable.
func (r *Request) asksLock() bool {
	return strings.EqualFold(r.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true")
}

// admitCreation decides on what a new bucket is to have from the beginning: each takes
// the right to set it later.
func (s *Server) admitCreation(r *Request) error {
	if r.op.name != "CreateBucket" {
		return nil
	}
	acl := access.HasHeaders(r.Header) && r.Header.Get("X-Amz-Acl") != "private"
	tags := r.ahead.bucket.Tags
	b := &fsm.Bucket{Name: r.Bucket, Owner: r.account.GetCanonicalId()} // as it will be
	for _, part := range [...]struct {
		action string
		asked  bool
	}{
		{"s3:PutBucketAcl", acl}, {"s3:PutBucketOwnershipControls", r.Header.Get("X-Amz-Object-Ownership") != ""},
		{"s3:PutBucketObjectLockConfiguration", r.asksLock()}, {"s3:PutBucketVersioning", r.asksLock()},
		{"s3:TagResource", tags != nil && len(tags.Tags) > 0},
	} {
		if !part.asked {
			continue
		}
		if err := s.alsoDecide(r, question{action: part.action, bucket: b}); err != nil {
			return err
		}
	}
	return nil
}

// bucketExists answers to whoever makes a bucket again, of whose own a moment ago nothing
// was seen if existing is nil.
func (s *Server) bucketExists(r *Request, existing *fsm.Bucket, acl *event.ACL) (*Response, error) {
	switch {
	case existing != nil && (existing.Owner != r.account.GetCanonicalId() || !proto.Equal(existing.Acl, acl)):
		return nil, s3err.New("BucketAlreadyExists").With("BucketName", r.Bucket)
	case r.asksLock() && !existing.GetObjectLock(): // which is not what is there
		return nil, s3err.New("BucketAlreadyOwnedByYou").With("BucketName", r.Bucket)
	case s.Region == "us-east-1":
		return &Response{Header: http.Header{"Location": {"/" + r.Bucket}}}, nil
	}
	return nil, s3err.New("BucketAlreadyOwnedByYou").With("BucketName", r.Bucket)
}

// addOwnership adds the ownership controls that a new bucket is to have. They come with
// the bucket in one event: there is no moment at which it is without.
func (r *Request) addOwnership(d *event.Draft, acl *event.ACL) error {
	v := r.Header.Get("X-Amz-Object-Ownership")
	switch {
	case v == "":
		return nil
	case !s3xml.ValidOwnership(v):
		return s3err.InvalidArgument("x-amz-object-ownership", v, "Invalid x-amz-object-ownership header: "+v)
	case v == s3xml.BucketOwnerEnforced && !ownerOnly(acl):
		return s3err.New("InvalidBucketAclWithObjectOwnership")
	}
	return r.addDocument(d, event.DocumentKind_DOCUMENT_KIND_OWNERSHIP_CONTROLS, s3xml.Ownership(v))
}

// addDocument adds a document to the event that makes a bucket.
func (r *Request) addDocument(d *event.Draft, kind event.DocumentKind, doc s3xml.Response) error {
	d.Add(event.ItemKind_ITEM_KIND_DOCUMENT, int(kind), doc.AppendXML(nil))
	return r.checkDocumentLevel()
}

// addConfiguration reads the optional body of CreateBucket.
func (s *Server) addConfiguration(r *Request, d *event.Draft) error {
	c := &r.ahead.bucket
	if r.ahead.err != nil {
		return r.ahead.err
	}
	if c.Location != nil || c.Bucket != nil {
		return s3err.Newf("NotImplemented", "Directory buckets are not implemented.")
	}
	want := c.LocationConstraint
	if want != "" && want != s.Region && (want != "EU" || s.Region != "eu-west-1") {
		return s3err.Newf("InvalidLocationConstraint", "The specified location-constraint is not valid").With("LocationConstraint", want)
	}
	if c.Tags == nil || len(c.Tags.Tags) == 0 {
		return nil
	}
	if err := checkBucketTags(c.Tags.Tags); err != nil {
		return err
	}
	return r.addDocument(d, event.DocumentKind_DOCUMENT_KIND_TAGGING, &s3xml.Tagging{TagSet: *c.Tags})
}

// headBucket tells whether a bucket is there and may be listed.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
func (s *Server) headBucket(_ context.Context, r *Request) (*Response, error) {
	return &Response{Header: http.Header{"X-Amz-Bucket-Region": {r.bucket.Region}, "Content-Type": {"application/xml"}}}, nil
}

// getBucketLocation tells a bucket's region; us-east-1 is the empty one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
func (s *Server) getBucketLocation(_ context.Context, r *Request) (*Response, error) {
	region := r.bucket.Region
	if region == "us-east-1" {
		region = ""
	}
	return &Response{XML: s3xml.LocationConstraint(region)}, nil
}

// deleteBucket removes an empty bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html
func (s *Server) deleteBucket(ctx context.Context, r *Request) (*Response, error) {
	d := event.NewDraft(nil, &event.Statement_BucketDeleted{BucketDeleted: &event.BucketDeleted{Bucket: r.bucket.Bucket}})
	// Versions and markers count, too: uploads are not aborted for a deletion that is refused.
	left, _, err := r.view.ListVersions(fsm.VersionQuery{Bucket: r.bucket.Bucket, Max: 1})
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return nil, s3err.New("BucketNotEmpty").With("BucketName", r.Bucket)
	}
	if err := s.abortUploads(ctx, r); err != nil {
		return nil, err
	}
	if _, err := s.propose(ctx, r, d); err != nil {
		return nil, err
	}
	return noContent(), nil
}

// abortUploads aborts what is left open in a bucket that is being deleted: Amazon
// deletes a bucket without objects whatever uploads it has. Each is an event of its
// own; one that a client begins meanwhile makes the deletion fail. It closes the view.
func (s *Server) abortUploads(ctx context.Context, r *Request) error {
	for {
		open, _, err := r.view.ListUploads(fsm.UploadQuery{Bucket: r.bucket.Bucket, Max: maxKeys})
		if err != nil {
			return err
		}
		r.closeView()
		if len(open) == 0 {
			return nil
		}
		for _, u := range open {
			_, err := s.proposeAs(ctx, r, event.NewDraft(nil, &event.Statement_UploadAborted{UploadAborted: &event.UploadAborted{
				Bucket: r.bucket.Bucket, Upload: u.Upload.Upload,
			}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, u.Upload.Key), newRequestID())
			if err != nil && !s3err.Is(err, "NoSuchUpload") {
				return err
			}
		}
		if err := r.openView(ctx); err != nil {
			return err
		}
	}
}

// validBucketName applies Amazon's rules for general purpose buckets, and keeps
// "--at-" for views of the past.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func validBucketName(n string) bool {
	if len(n) < 3 || len(n) > 63 || strings.Contains(n, "..") || strings.Contains(n, "--at-") || looksLikeIPv4(n) {
		return false
	}
	for _, p := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(n, p) {
			return false
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(n, suffix) {
			return false
		}
	}
	for i := range len(n) {
		c := n[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		edge := i == 0 || i == len(n)-1
		if !alnum && (edge || c != '-' && c != '.') {
			return false
		}
	}
	return true
}

func looksLikeIPv4(n string) bool {
	parts := strings.Split(n, ".")
	if len(parts) != 4 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
