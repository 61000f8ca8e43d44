package s3api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// Longest default retention, as with Amazon.
const (
	maxRetentionDays  = 36500
	maxRetentionYears = 100
)

// retentionModes by their names.
var retentionModes = [...]struct {
	name string
	mode event.RetentionMode
}{
	{"GOVERNANCE", event.RetentionMode_RETENTION_MODE_GOVERNANCE}, {"COMPLIANCE", event.RetentionMode_RETENTION_MODE_COMPLIANCE},
}

func retentionMode(name string) event.RetentionMode {
	for _, m := range retentionModes {
		if m.name == name {
			return m.mode
		}
	}
	return event.RetentionMode_RETENTION_MODE_NONE
}

func retentionName(mode event.RetentionMode) string {
	for _, m := range retentionModes {
		if m.mode == mode {
			return m.name
		}
	}
	return ""
}

// getObjectLockConfiguration tells whether a bucket's objects can be locked, and for how
// long those are that are put without a word about it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html
func (s *Server) getObjectLockConfiguration(_ context.Context, r *Request) (*Response, error) {
	b := r.shownBucket()
	if !b.ObjectLock {
		return nil, s3err.New("ObjectLockConfigurationNotFoundError").With("BucketName", r.Bucket)
	}
	out := &s3xml.ObjectLockConfiguration{Enabled: "Enabled"}
	if name := retentionName(b.DefaultMode); name != "" {
		d := s3xml.DefaultRetention{Mode: name}
		if n := int64(b.DefaultYears); n > 0 {
			d.Years = &n
		} else {
			n = int64(b.DefaultDays)
			d.Days = &n
		}
		out.SetDefault(d)
	}
	return &Response{XML: out}, nil
}

// putObjectLockConfiguration turns object lock on in a bucket that keeps versions, for
// good, and sets its default retention.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html
func (s *Server) putObjectLockConfiguration(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.ObjectLockConfiguration
	err := r.decodeXML(s3xml.MaxBody, &doc)
	if errors.Is(err, s3xml.ErrEmpty) {
		err = s3err.New("MalformedXML")
	}
	if err != nil {
		return nil, err
	}
	set := &event.BucketLockSet{Bucket: r.bucket.Bucket}
	if doc.Rule != nil {
		d := &doc.Rule.Default
		set.Mode = retentionMode(d.Mode)
		if set.Days, err = retentionPeriod(d.Days, maxRetentionDays); err != nil {
			return nil, err
		}
		if set.Years, err = retentionPeriod(d.Years, maxRetentionYears); err != nil {
			return nil, err
		}
	}
	if r.bucket.Versioning != event.VersioningState_VERSIONING_STATE_ENABLED {
		return nil, s3err.Newf("InvalidBucketState", "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	r.closeView()
	if _, err := s.propose(ctx, r, event.NewDraft(nil, &event.Statement_BucketLockSet{BucketLockSet: set})); err != nil {
		return nil, err
	}
	return &Response{}, nil
}

func retentionPeriod(n *int64, most int64) (uint32, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n <= 0:
		return 0, s3err.Newf("InvalidRetentionPeriod", "Default retention period must be a positive integer value.")
	case *n > most:
		return 0, s3err.Newf("InvalidRetentionPeriod", "Default retention period is too large.")
	}
	return uint32(*n), nil
}

// needsLock refuses what only a bucket with object lock has.
func (r *Request) needsLock() error {
	if r.shownBucket().ObjectLock {
		return nil
	}
	return s3err.Newf("InvalidRequest", "Bucket is missing Object Lock Configuration")
}

// getObjectRetention tells until when a version is kept.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html
func (s *Server) getObjectRetention(_ context.Context, r *Request) (*Response, error) {
	if err := r.needsLock(); err != nil {
		return nil, err
	}
	l := r.object.Lock
	if l.GetMode() == event.RetentionMode_RETENTION_MODE_NONE {
		return nil, s3err.New("NoSuchObjectLockConfiguration")
	}
	until := s3xml.Time(l.RetainUntil)
	return &Response{XML: &s3xml.Retention{Mode: retentionName(l.Mode), Until: &until}}, nil
}

// putObjectRetention changes until when a version is kept; apply decides, by log time,
// whether it may be.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html
func (s *Server) putObjectRetention(ctx context.Context, r *Request) (*Response, error) {
	if err := r.needsLock(); err != nil {
		return nil, err
	}
	if r.ahead.err != nil {
		return nil, r.ahead.err
	}
	doc := &r.ahead.retention
	lock := &event.Lock{Mode: retentionMode(doc.Mode)}
	if doc.Until != nil {
		lock.RetainUntil = wholeSecond(int64(*doc.Until))
		if err := s.inTheFuture(lock.RetainUntil); err != nil {
			return nil, err
		}
	}
	return s.changeVersion(ctx, r, func(ctx context.Context, r *Request) (*Response, error) {
		bypass, err := s.bypass(r)
		if err != nil {
			return nil, err
		}
		return &Response{}, s.setLock(ctx, r, &event.ObjectLockSet{Lock: lock, Retention: true, BypassGovernance: bypass})
	})
}

// wholeSecond rounds a date up to what answers show of it: nobody is to see a retention
// end before it does.
func wholeSecond(at int64) int64 {
	const second = int64(time.Second)
	if at%second > 0 {
		at += second - at%second
	}
	return at
}

// inTheFuture refuses a date that has passed, and one that is beyond what log time can
// tell: it would be kept as an earlier one.
func (s *Server) inTheFuture(until int64) error {
	if until >= s3xml.LastTime {
		return s3err.Newf("InvalidArgument", "The retain until date must be before April 2262")
	}
	if until <= s.Now().UnixNano() {
		return s3err.Newf("InvalidArgument", "The retain until date must be in the future!")
	}
	return nil
}

// bypass tells whether the request asks to pass over GOVERNANCE, which takes a right of
// its own.
func (s *Server) bypass(r *Request) (bool, error) {
	if !r.asksBypass() {
		return false, nil
	}
	return true, s.mayAlso(r, "s3:BypassGovernanceRetention")
}

func (r *Request) asksBypass() bool {
	return strings.EqualFold(r.Header.Get("X-Amz-Bypass-Governance-Retention"), "true")
}

// mayAlso decides on another action on what the request is about.
func (s *Server) mayAlso(r *Request, action string) error {
	return s.alsoDecide(r, question{action: action, bucket: r.bucket, key: r.Key, object: r.object, version: r.Query.Get("versionId")})
}

// alsoDecide decides on a further question. The event's reason stays that of the operation.
func (s *Server) alsoDecide(r *Request, q question) error {
	kept := r.reason
	err := s.decide(r, q)
	r.reason = kept
	return err
}

// getObjectLegalHold tells whether a version is held. One that was never told anything
// about locks has no answer.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html
func (s *Server) getObjectLegalHold(_ context.Context, r *Request) (*Response, error) {
	if err := r.needsLock(); err != nil {
		return nil, err
	}
	if r.object.Lock == nil {
		return nil, s3err.New("NoSuchObjectLockConfiguration")
	}
	return &Response{XML: &s3xml.LegalHold{Status: holdName(r.object.Lock.LegalHold)}}, nil
}

func holdName(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

// putObjectLegalHold holds a version, or lets it go.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html
func (s *Server) putObjectLegalHold(ctx context.Context, r *Request) (*Response, error) {
	if err := r.needsLock(); err != nil {
		return nil, err
	}
	if r.ahead.err != nil {
		return nil, r.ahead.err
	}
	return s.changeVersion(ctx, r, func(ctx context.Context, r *Request) (*Response, error) {
		return &Response{}, s.setLock(ctx, r, &event.ObjectLockSet{Lock: &event.Lock{LegalHold: r.ahead.hold.Status == "ON"}, LegalHold: true})
	})
}

// setLock agrees on a change to the lock of the version that was admitted.
func (s *Server) setLock(ctx context.Context, r *Request, set *event.ObjectLockSet) error {
	set.Bucket, set.Version = r.bucket.Bucket, r.object.Version
	setVersion(r.responseHeader, r.bucket, r.object.Version, r.object.NullVersion)
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_ObjectLockSet{ObjectLockSet: set}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	_, err := s.propose(ctx, r, d)
	return err
}

// headerLock reads the x-amz-object-lock-* headers of what is put; nil: none. Each
// takes the right to set it later.
func (s *Server) headerLock(r *Request) (*event.Lock, error) {
	mode, until, hold := r.Header.Get("X-Amz-Object-Lock-Mode"), r.Header.Get("X-Amz-Object-Lock-Retain-Until-Date"), r.Header.Get("X-Amz-Object-Lock-Legal-Hold")
	if mode == "" && until == "" && hold == "" {
		return nil, nil
	}
	if err := r.needsLock(); err != nil {
		return nil, err
	}
	lock := &event.Lock{}
	if mode != "" || until != "" {
		if lock.Mode = retentionMode(mode); lock.Mode == event.RetentionMode_RETENTION_MODE_NONE && mode != "" {
			return nil, s3err.InvalidArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
		}
		if mode == "" || until == "" {
			return nil, s3err.Newf("InvalidArgument", "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
		}
		at, err := time.Parse(time.RFC3339Nano, until)
		if err != nil {
			return nil, s3err.InvalidArgument("x-amz-object-lock-retain-until-date", until, "The retain until date must be provided in ISO 8601 format")
		}
		lock.RetainUntil = wholeSecond(s3xml.Nanoseconds(at))
		if err := s.inTheFuture(lock.RetainUntil); err != nil {
			return nil, err
		}
		if err := s.mayAlso(r, "s3:PutObjectRetention"); err != nil {
			return nil, err
		}
	}
	switch hold {
	case "", "OFF":
	case "ON":
		lock.LegalHold = true
	default:
		return nil, s3err.InvalidArgument("x-amz-object-lock-legal-hold", hold, "Legal hold must be either of 'ON' or 'OFF'")
	}
	if hold != "" {
		return lock, s.mayAlso(r, "s3:PutObjectLegalHold")
	}
	return lock, nil
}

// setLockHeaders tells of a version's lock to whoever may ask for it by itself.
func (s *Server) setLockHeaders(r *Request, h http.Header, o *fsm.Object) {
	if o.Lock == nil {
		return
	}
	if name := retentionName(o.Lock.Mode); name != "" && s.mayAlso(r, "s3:GetObjectRetention") == nil {
		h.Set("X-Amz-Object-Lock-Mode", name)
		until, _ := s3xml.Time(o.Lock.RetainUntil).MarshalText() // never fails
		h.Set("X-Amz-Object-Lock-Retain-Until-Date", string(until))
	}
	if r.shownBucket().ObjectLock && s.mayAlso(r, "s3:GetObjectLegalHold") == nil {
		h.Set("X-Amz-Object-Lock-Legal-Hold", holdName(o.Lock.LegalHold))
	}
}
