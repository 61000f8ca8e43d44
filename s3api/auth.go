package s3api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
)

// requestKey finds the Request in the context of a verification.
type requestKey struct{}

func (s *Server) newVerifier() *sig.Verifier {
	return &sig.Verifier{
		Region:  s.Region,
		Now:     s.Now,
		AllowV2: !s.RefuseV2,
		Lookup: func(ctx context.Context, accessKey, token string) (sig.Secret, bool, error) {
			r, ok := ctx.Value(requestKey{}).(*Request)
			if !ok {
				return sig.Secret{}, false, errors.New("s3api: a signature is verified outside of a request")
			}
			return s.secret(r, accessKey, token)
		},
		VirtualHost: func(host string) (string, bool) { return hostBucket(host, s.Domains) },
	}
}

// authenticate verifies who asks. Bad credentials are refused, never anonymous.
func (s *Server) authenticate(ctx context.Context, r *Request) error {
	id, err := s.verify(context.WithValue(ctx, requestKey{}, r), r)
	if err != nil {
		r.account, r.who = nil, nil
		return err
	}
	r.identity = id
	r.Header = withHoisted(r.HTTP.Header, id.Hoisted)
	if err := checkRepeated(r.Header); err != nil {
		return err
	}
	if id.AccessKey != "" {
		r.principal = r.principalOf()
	}
	return nil
}

// withHoisted adds what a presigned query says to the headers.
func withHoisted(h, hoisted http.Header) http.Header {
	if len(hoisted) == 0 {
		return h
	}
	h = h.Clone()
	for name, values := range hoisted {
		if _, ok := h[name]; !ok {
			h[name] = values
		}
	}
	return h
}

// checkRepeated refuses an x-amz-* header that stands twice and is no list: policies and
// the operation might each believe another one.
func checkRepeated(h http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if len(h[name]) > 1 && strings.HasPrefix(name, "X-Amz-") && !listHeader(name) {
			return s3err.InvalidArgument(strings.ToLower(name), "", "The header must not be repeated.")
		}
	}
	return nil
}

// listHeader tells the x-amz-* headers that may be repeated.
func listHeader(name string) bool {
	switch name {
	case "X-Amz-Object-Attributes", "X-Amz-Optional-Object-Attributes", "X-Amz-Trailer":
		return true
	}
	for _, prefix := range [...]string{"X-Amz-Checksum-", "X-Amz-Grant-", "X-Amz-Meta-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// admit finds what the operation needs and decides whether it may be done.
func (s *Server) admit(r *Request) error {
	r.readAhead()
	if r.op.needs == needNothing {
		if err := s.decide(r, question{action: r.op.action}); err != nil {
			return err
		}
		return s.admitCreation(r)
	}
	var err error
	if r.bucket, err = r.view.BucketByName(r.Bucket); err != nil {
		return err
	}
	if r.bucket == nil {
		return s3err.New("NoSuchBucket").With("BucketName", r.Bucket)
	}
	if err := r.expectOwner(r.bucket, "X-Amz-Expected-Bucket-Owner"); err != nil {
		return err
	}
	if err := r.admitPayer(r.bucket); err != nil {
		return err
	}
	if r.past != nil {
		if err := r.past.findBucket(r); err != nil {
			return err
		}
	}
	if r.op.needs == needObject {
		return s.admitObject(r)
	}
	action := r.op.action
	if r.Query.Has("versionId") {
		action = versionAction(action)
	}
	q := question{action: action, bucket: r.bucket, key: r.Key, version: r.Query.Get("versionId")}
	if r.op.query == "uploadId" {
		if u, err := r.upload(); err == nil {
			q.upload = &access.Upload{Owner: u.Owner, Initiator: u.Initiator}
		} else if !s3err.Is(err, "NoSuchUpload") {
			return err
		}
	}
	switch r.op.name {
	case "DeleteObjects":
		return s.admitDeletes(r, q)
	case transactionName:
		return s.admitTransaction(r, q)
	}
	if err := s.takeSource(r); err != nil {
		return err
	}
	if err := s.decide(r, q); err != nil {
		return err
	}
	return s.admitParts(r)
}

// admitDeletes decides on a list of deletions before it is read. Where a policy has a
// say each key is judged for itself, later; elsewhere all keys are alike.
func (s *Server) admitDeletes(r *Request, q question) error {
	rules, err := r.rules(r.bucket)
	if err != nil || rules.policy != nil {
		return err
	}
	if a, err := s.callerAuthority(r); err != nil || a != nil {
		return err
	}
	return s.decide(r, q)
}

// decide asks for an action and keeps the reason for the audit.
func (s *Server) decide(r *Request, q question) error {
	d, err := s.judge(r, q)
	if err != nil {
		return err
	}
	r.reason = d.Reason(r.viewedSeq)
	return d.Err()
}

// expectOwner refuses a bucket that is not whose the client believes.
func (r *Request) expectOwner(b *fsm.Bucket, header string) error {
	want := r.Header.Get(header)
	if want == "" {
		return nil
	}
	a, err := r.view.Account(b.Owner)
	if err != nil {
		return err
	}
	if a.GetAccount() != want {
		return s3err.New("AccessDenied")
	}
	return nil
}

// admitObject finds the object that the operation is about.
func (s *Server) admitObject(r *Request) (err error) {
	w := r.wantedVersion()
	if r.object, err = w.find(r.shownView(), r.shownBucket(), r.Key); err != nil {
		return err
	}
	err = s.admitRow(r, r.op.action, r.bucket, r.Key, r.object, w)
	if err == nil && r.object.DeleteMarker {
		r.object, err = nil, r.markerError(w, r.object)
	}
	if r.object == nil && s3err.Is(err, "NoSuchKey") && r.errorHeader == nil {
		r.errorHeader = http.Header{"X-Amz-Delete-Marker": {"false"}}
	}
	return err
}

// admitRead decides on reading an object that a copy names.
func (s *Server) admitRead(r *Request, b *fsm.Bucket, key string, w wanted) (*fsm.Object, error) {
	if err := r.expectOwner(b, "X-Amz-Source-Expected-Bucket-Owner"); err != nil {
		return nil, err
	}
	if err := r.admitPayer(b); err != nil {
		return nil, err
	}
	kept := r.reason // the event's reason is that of the write
	r.reason = nil
	o, err := s.admitVersion(r, "s3:GetObject", b, key, w)
	r.why, r.reason = r.reason, kept
	if err != nil || !o.DeleteMarker {
		return o, err
	}
	if w.given {
		return nil, s3err.Newf("InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	return nil, s3err.New("NoSuchKey").About(s3err.Subject{Key: key})
}

// admitVersion finds a version of an object, and decides on an action on it.
func (s *Server) admitVersion(r *Request, action string, b *fsm.Bucket, key string, w wanted) (*fsm.Object, error) {
	o, err := w.find(r.view, b, key)
	if err != nil {
		return nil, err
	}
	return o, s.admitRow(r, action, b, key, o, w)
}

// admitRow decides on an action on a version. What is missing, and what is but a marker,
// looks forbidden to whoever may not list the bucket.
func (s *Server) admitRow(r *Request, action string, b *fsm.Bucket, key string, o *fsm.Object, w wanted) error {
	missing := "NoSuchKey"
	if w.given {
		action, missing = versionAction(action), "NoSuchVersion"
	}
	q := question{action: action, bucket: b, key: key, object: o, version: w.id}
	if o != nil && !o.DeleteMarker {
		return s.decide(r, q)
	}
	q.object = nil
	asked, err := s.judge(r, q)
	if err != nil {
		return err
	}
	list, err := s.judge(r, question{action: "s3:ListBucket", bucket: b, listed: key})
	if err != nil {
		return err
	}
	absent := access.Absent(asked, list, missing).About(s3err.Subject{Key: key, VersionID: w.id})
	if o != nil && absent.Code == missing {
		return nil // may know, and the caller tells what it is
	}
	return absent
}

// versionAction names the action on a given version, where that is another one.
func versionAction(action string) string {
	switch action {
	case "s3:DeleteObject":
		return "s3:DeleteObjectVersion"
	case "s3:GetObject":
		return "s3:GetObjectVersion"
	case "s3:GetObjectAttributes":
		return "s3:GetObjectVersionAttributes"
	case "s3:GetObjectTorrent":
		return "s3:GetObjectVersionTorrent"
	case "s3:GetObjectAcl":
		return "s3:GetObjectVersionAcl"
	case "s3:PutObjectAcl":
		return "s3:PutObjectVersionAcl"
	case "s3:GetObjectTagging":
		return "s3:GetObjectVersionTagging"
	case "s3:PutObjectTagging":
		return "s3:PutObjectVersionTagging"
	case "s3:DeleteObjectTagging":
		return "s3:DeleteObjectVersionTagging"
	}
	return action
}
