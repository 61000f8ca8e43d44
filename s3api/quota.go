package s3api

import (
	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// Apply decides quotas. What the view already shows to be beyond one is refused before
// its bytes are taken, and without an event: whoever goes on trying against a full bucket
// fills neither disks nor the ledger. So what is foreseen is the least that a request
// makes grow, and where that is not known nothing is.

// roomForObject refuses a new object of a key that there is no room for; size is -1
// where it is not known. old is the key's current object.
func (r *Request) roomForObject(size int64, old *fsm.Object) error {
	gone, err := old, error(nil)
	switch r.bucket.Versioning {
	case event.VersioningState_VERSIONING_STATE_ENABLED:
		gone = nil
	case event.VersioningState_VERSIONING_STATE_SUSPENDED:
		gone, err = r.view.NullVersion(r.bucket.Bucket, r.Key)
	}
	if err != nil {
		return err
	}
	if gone == nil || gone.DeleteMarker {
		return r.roomFor(1, size)
	}
	return r.roomFor(0, size-int64(gone.Size))
}

// roomForPart refuses a part of an upload that there is no room for.
func (r *Request) roomForPart(size int64, u *fsm.Upload, number uint32) error {
	old, err := r.view.Part(u.Upload, number)
	if err != nil {
		return err
	}
	return r.roomFor(0, size-int64(old.GetSize()))
}

// roomFor refuses what makes the bucket hold at least so much more.
func (r *Request) roomFor(objects, bytes int64) error {
	beyond, err := r.view.BeyondQuota(r.bucket, uint64(max(objects, 0)), uint64(max(bytes, 0)))
	if err == nil && beyond {
		err = s3err.FromRefusal(event.Refusal_REFUSAL_QUOTA_EXCEEDED)
	}
	return err
}
