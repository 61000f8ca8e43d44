package s3err

import (
	"errors"

	"ironman/wal/event"
)

// Subject is what an error is about. Empty parts give no field.
type Subject struct {
	Bucket    string
	Key       string
	VersionID string
	UploadID  string
	// Condition is the header whose condition did not hold (If-None-Match).
	Condition string
}

// About returns a copy of e with those parts of the subject that Amazon names in an
// error of its code. An error that has fields already, or is nil, is returned as it is.
func (e *Error) About(s Subject) *Error {
	if e == nil || len(e.Fields) > 0 {
		return e
	}
	switch e.Code {
	case "NoSuchBucket", "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "InvalidBucketName", "NoSuchBucketPolicy":
		return e.some("BucketName", s.Bucket)
	case "NoSuchKey":
		return e.some("Key", s.Key)
	case "NoSuchVersion":
		return e.some("Key", s.Key).some("VersionId", s.VersionID)
	case "NoSuchUpload", "InvalidPart", "InvalidPartOrder":
		return e.some("UploadId", s.UploadID)
	case "PreconditionFailed":
		return e.some("Condition", s.Condition)
	case "ConditionalRequestConflict":
		return e.some("Condition", s.Condition).some("Key", s.Key)
	}
	return e
}

// FromRefusal answers for an event that apply refused; nil for REFUSAL_NONE (a nil
// *Error, which is no nil error: ask for the refusal first).
//
// Refusals that tell of the store's own affairs (a fenced blob, a proposal that came
// too late) are ServiceUnavailable: nothing was done, and trying again is right.
func FromRefusal(r event.Refusal) *Error {
	switch r {
	case event.Refusal_REFUSAL_NONE:
		return nil
	case event.Refusal_REFUSAL_NO_SUCH_BUCKET:
		return New("NoSuchBucket")
	case event.Refusal_REFUSAL_BUCKET_EXISTS:
		return New("BucketAlreadyExists")
	case event.Refusal_REFUSAL_BUCKET_OWNED:
		return New("BucketAlreadyOwnedByYou")
	case event.Refusal_REFUSAL_BUCKET_NOT_EMPTY:
		return New("BucketNotEmpty")
	case event.Refusal_REFUSAL_NO_SUCH_KEY:
		return New("NoSuchKey")
	case event.Refusal_REFUSAL_NO_SUCH_VERSION:
		return New("NoSuchVersion").Because(refused(r))
	case event.Refusal_REFUSAL_NO_SUCH_UPLOAD:
		return New("NoSuchUpload")
	case event.Refusal_REFUSAL_INVALID_PART:
		return New("InvalidPart").Because(refused(r))
	case event.Refusal_REFUSAL_PRECONDITION_FAILED:
		return New("PreconditionFailed")
	case event.Refusal_REFUSAL_CONFLICT:
		return New("ConditionalRequestConflict").Because(refused(r))
	case event.Refusal_REFUSAL_EXISTS, event.Refusal_REFUSAL_NOT_FOUND, event.Refusal_REFUSAL_SOURCE_CHANGED:
		return New("OperationAborted").Because(refused(r))
	case event.Refusal_REFUSAL_OBJECT_LOCKED:
		return Newf("AccessDenied", "Access Denied because object protected by object lock.")
	case event.Refusal_REFUSAL_QUOTA_EXCEEDED:
		return New("QuotaExceeded")
	case event.Refusal_REFUSAL_BUCKET_STATE:
		return New("InvalidBucketState")
	case event.Refusal_REFUSAL_OFFSET:
		return New("InvalidWriteOffset")
	case event.Refusal_REFUSAL_LIMIT_EXCEEDED: // of an object that grows; IAM has codes of its own for its limits
		return New("TooManyParts")
	case event.Refusal_REFUSAL_NOT_KEPT: // of a restore, which the admin listener answers
		return New("InvalidRequest").Because(refused(r))
	case event.Refusal_REFUSAL_IN_USE: // IAM has a code of its own
		return New("OperationAborted").Because(refused(r))
	case event.Refusal_REFUSAL_FEATURE_LEVEL:
		return Newf("NotImplemented", "Not every node of this cluster can do this yet.")
	case event.Refusal_REFUSAL_STALE_BASE, event.Refusal_REFUSAL_CANCELLED, event.Refusal_REFUSAL_BLOB_FENCED,
		event.Refusal_REFUSAL_PACK_RELEASED, event.Refusal_REFUSAL_PACK_IN_USE, event.Refusal_REFUSAL_PLACEMENT:
		return New("ServiceUnavailable").Because(refused(r))
	}
	return New("InternalError").Because(refused(r)) // REFUSAL_INVALID, or a newer vocabulary's
}

func (e *Error) some(name, value string) *Error {
	if value == "" {
		return e
	}
	return e.With(name, value)
}

// RefusalOf is why apply refused the event of a request that lost a race, or whose
// refusal tells of the store's own affairs; REFUSAL_NONE for every other error.
func RefusalOf(err error) event.Refusal {
	var r refused
	if errors.As(err, &r) {
		return event.Refusal(r)
	}
	return event.Refusal_REFUSAL_NONE
}

// refused is a refusal as a cause: for the log, and for who can try again.
type refused event.Refusal

func (r refused) Error() string { return "event refused: " + event.Refusal(r).String() }
