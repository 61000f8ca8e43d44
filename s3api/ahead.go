package s3api

import (
	"errors"
	"time"

	"ironman/s3api/policy"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// ahead is what is read of a request before it is decided on, since conditions ask for
// it: the document of an operation that sets tags or a lock or makes a bucket. A document
// that cannot be read says nothing (err); who may do the operation is told why.
type ahead struct {
	// done: a body can be read once, though a request may be decided on again.
	done      bool
	err       error
	tags      *event.Tags
	retention s3xml.Retention
	hold      s3xml.LegalHold
	bucket    s3xml.CreateBucketConfiguration
}

// readAhead reads the document of an operation whose conditions ask for it.
func (r *Request) readAhead() {
	a := &r.ahead
	if a.done {
		return
	}
	a.done = true
	switch r.op.name {
	case "CreateBucket":
		if a.err = r.decodeXML(s3xml.MaxBody, &a.bucket); errors.Is(a.err, s3xml.ErrEmpty) {
			a.err = nil
		}
	case "PutObjectLegalHold":
		a.err = r.decodeNeeded(&a.hold)
	case "PutObjectRetention":
		a.err = r.decodeNeeded(&a.retention)
	case "PutObjectTagging":
		a.tags, a.err = r.decodeTags()
	}
	if a.err != nil {
		*a = ahead{done: true, err: a.err}
	}
}

// decodeNeeded reads a document that must be there.
func (r *Request) decodeNeeded(v any) error {
	err := r.decodeXML(s3xml.MaxBody, v)
	if errors.Is(err, s3xml.ErrEmpty) {
		err = s3err.New("MalformedXML")
	}
	return err
}

// setFacts are the facts of what a request sets. Each operation's stand where the
// operation itself reads them, and nowhere else: whoever is bound by a condition must not
// meet it by a header that does nothing.
func (r *Request) setFacts(f *policy.Facts) {
	switch r.op.name {
	case "CreateBucket":
		f.Location = r.ahead.bucket.LocationConstraint
	case "PutObjectLegalHold":
		f.LegalHold = r.ahead.hold.Status
	case "PutObjectRetention":
		f.LockMode = r.ahead.retention.Mode
		if until := r.ahead.retention.Until; until != nil {
			f.RetainUntil = time.Unix(0, wholeSecond(int64(*until)))
		}
	case "PutObjectTagging":
		f.RequestTags = policyTags(r.ahead.tags)
	case "CopyObject", "CreateMultipartUpload", postObjectName, "PutObject":
		f.LockMode, f.LegalHold = r.Header.Get("X-Amz-Object-Lock-Mode"), r.Header.Get("X-Amz-Object-Lock-Legal-Hold")
		if t, err := time.Parse(time.RFC3339, r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date")); err == nil {
			f.RetainUntil = t
		}
		f.RequestTags = policyTags(r.newTags())
	case "RenameObject":
		f.RequestTags = policyTags(r.newTags())
		if lock := r.keptLock(); lock != nil {
			f.LockMode, f.LegalHold = retentionName(lock.Mode), holdName(lock.LegalHold)
			if lock.RetainUntil != 0 {
				f.RetainUntil = time.Unix(0, lock.RetainUntil)
			}
		}
	}
}

// keptLock is the lock that a rename leaves on the object; nil: none, or it is not known
// yet.
func (r *Request) keptLock() *event.Lock {
	if r.op.name != "RenameObject" || r.source == nil {
		return nil
	}
	return r.source.object.Lock
}

// newTags are the tags that the object of the request is to have: those of the header,
// or where that counts for nothing those of what is copied or renamed. What is malformed
// is not known; the operation itself refuses it.
func (r *Request) newTags() *event.Tags {
	if r.keepsTags() {
		if r.source == nil { // it is being decided on
			return nil
		}
		return r.source.object.Tags
	}
	tags, err := parseTags(r.Header.Get("X-Amz-Tagging"))
	if err != nil {
		return nil
	}
	return tags
}

// setsTags reports whether the object of the request is to have tags that it takes a
// right to set. A rename sets none: the object keeps its own.
func (r *Request) setsTags() bool {
	if r.keepsTags() {
		return r.op.name == "CopyObject" && len(r.newTags().GetTags()) > 0
	}
	return r.Header.Get("X-Amz-Tagging") != ""
}

// keepsTags reports whether the object of the request has its tags from another.
func (r *Request) keepsTags() bool {
	return r.op.name == "RenameObject" || r.op.name == "CopyObject" && r.Header.Get("X-Amz-Tagging-Directive") != "REPLACE"
}

// creation is the value of s3:ObjectCreationOperation: whether there will be an object
// when the operation is done. Parts of an upload are not one yet.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
func (op *operation) creation() string {
	switch op.name {
	case "CompleteMultipartUpload", "CopyObject", postObjectName, "PutObject", "RenameObject":
		return "true"
	case "CreateMultipartUpload", "UploadPart", "UploadPartCopy":
		return "false"
	}
	return ""
}
