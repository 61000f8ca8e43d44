package s3api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/accesslog"
	"ironman/s3api/checksum"
	"ironman/s3api/policy"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// logService is who delivers access logs, as policies name it.
const logService = "logging.s3.amazonaws.com"

// LogObject is some of a bucket's access log on its way to where that is kept.
type LogObject struct {
	Of   accesslog.Source
	Day  time.Time // of the requests
	Size int64
	Body io.Reader
}

// ErrLogRefused says that lines cannot be delivered, and that to try again would not help:
// their target is gone, or does not let them in. Every other error may pass.
var ErrLogRefused = errors.New("the target does not take the access log")

// logDelivery is an object on its way, judged at a view.
type logDelivery struct {
	target *fsm.Bucket
	key    string
	acl    *event.ACL
	reason *event.Reason
}

// DeliverLog stores lines of an access log as an object in the bucket that the
// configuration names, on behalf of the log delivery service. The object is the target's
// owner's, encrypted as the target's default says. It is a request of nobody: it is in no
// access log itself.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
func (s *Server) DeliverLog(ctx context.Context, o *LogObject) error {
	r := &Request{
		server: s, ID: newRequestID(), HTTP: &http.Request{}, Header: http.Header{}, Query: url.Values{},
		log: accessRecord{found: true},
	}
	if err := r.openView(ctx); err != nil {
		return err
	}
	defer r.closeView()
	d, err := r.planLog(o)
	if err != nil {
		return refusedLog(err)
	}
	to, err := r.newSealing()
	if err != nil {
		return refusedLog(err)
	}
	r.closeView() // storing may take long
	hashed := checksum.NewReader(o.Body, checksum.Want{Algorithm: ownChecksum, Size: o.Size}, &s.blocks)
	blobs, encryption, err := s.store(ctx, hashed, o.Size, to)
	if err != nil {
		return err
	}
	body := receivedOf(hashed.Sums(), o.Size)
	draft := event.NewDraft(nil, &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
		Bucket: d.target.Bucket, Owner: d.target.Owner, Acl: d.acl, Blobs: blobs, Size: uint64(o.Size), Etag: to.etag(body.etag),
		Checksum: body.checksum, Encryption: encryption,
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, d.key).
		AddMessage(event.ItemKind_ITEM_KIND_HEADERS, 0, &event.Headers{ContentType: "text/plain"})
	draft.Statement.Header = &event.Header{
		FeatureLevel: r.cluster.GetFeatureLevel(), RequestId: r.ID[:], Principal: event.System, Reason: d.reason,
	}
	_, outcome, err := s.Log.Propose(ctx, draft)
	if err == nil && outcome.Refusal != event.Refusal_REFUSAL_NONE {
		err = refusedLog(s3err.FromRefusal(outcome.Refusal))
	}
	if err != nil {
		s.abandon(blobs)
	}
	return err
}

// refusedLog tells what the target's owner would have to change from what passes by itself.
func refusedLog(err error) error {
	if e := s3err.From(err); e.Status/100 == 4 {
		return fmt.Errorf("%w: %w", ErrLogRefused, err)
	}
	return err
}

// planLog decides whether, and as what, lines are stored. The request's bucket is the
// target from then on.
func (r *Request) planLog(o *LogObject) (*logDelivery, error) {
	var doc s3xml.BucketLoggingStatus
	err := s3xml.Decode(strings.NewReader(o.Of.Config), int64(len(o.Of.Config)), &doc)
	if err != nil || doc.LoggingEnabled == nil {
		return nil, s3err.Newf("MalformedXML", "The logging configuration of the bucket cannot be read.").Because(err)
	}
	e := doc.LoggingEnabled
	d := &logDelivery{}
	if d.target, err = r.logTarget(o.Of, e); err != nil {
		return nil, err
	}
	r.bucket, r.Bucket = d.target, d.target.Name
	place, err := r.logPlace(o.Of, e)
	if err != nil {
		return nil, err
	}
	var unique [accesslog.UniqueBytes]byte
	rand.Read(unique[:]) // never fails (crypto/rand)
	d.key = place.Key(o.Day, r.server.Now(), unique)
	if d.reason, err = r.admitLogDelivery(o.Of, d.target, d.key); err != nil {
		return nil, err
	}
	d.acl, err = r.logACL(d.target, e)
	return d, err
}

// logPlace says how the objects of a log are named.
func (r *Request) logPlace(of accesslog.Source, e *s3xml.LoggingEnabled) (*accesslog.Place, error) {
	p := &accesslog.Place{Prefix: e.TargetPrefix, Region: r.server.Region, Bucket: of.Name}
	f := e.TargetObjectKeyFormat
	if f == nil || f.PartitionedPrefix == nil {
		return p, nil
	}
	owner, err := r.view.Account(of.Owner)
	p.Partitioned, p.ByEvent, p.Account = true, f.PartitionedPrefix.PartitionDateSource != "DeliveryTime", owner.GetAccount()
	return p, err
}

// admitLogDelivery decides whether logs of a bucket may be put into a target: its policy
// must allow it to the service, or its list to the log delivery group.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html#grant-log-delivery-permissions-general
func (r *Request) admitLogDelivery(of accesslog.Source, target *fsm.Bucket, key string) (*event.Reason, error) {
	rules, err := r.rules(target)
	if err != nil {
		return nil, err
	}
	opinion, err := r.policyOnLogs(&rules, of, target, key)
	if err != nil {
		return nil, err
	}
	position, granted := access.DeliversLogs(target.Acl)
	d := access.Decision{Allowed: true}
	switch {
	case opinion.Verdict == access.Allow:
		d.Kind, d.Policy, d.Statement, d.Position = event.ReasonKind_REASON_KIND_BUCKET_POLICY, opinion.Policy, opinion.Statement, opinion.Position
	case opinion.Verdict == access.Silent && granted && !rules.aclsDisabled():
		d.Kind, d.Position = event.ReasonKind_REASON_KIND_ACL_GRANT, position
	default:
		return nil, s3err.Newf("InvalidTargetBucketForLogging", "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket, or allow s3:PutObject to %s in its policy.", logService).
			With("TargetBucket", target.Name)
	}
	return d.Reason(r.viewedSeq), nil
}

// policyOnLogs is what the target's policy says of a delivery.
func (r *Request) policyOnLogs(rules *bucketRules, of accesslog.Source, target *fsm.Bucket, key string) (access.Opinion, error) {
	switch {
	case rules.unreadable:
		return access.Opinion{Verdict: access.Deny}, nil
	case rules.policy == nil:
		return access.Opinion{}, nil
	}
	owner, err := r.view.Account(of.Owner) // of both
	if err != nil {
		return access.Opinion{}, err
	}
	caller := policy.Caller{Service: logService}
	c := policy.NewContext(&policy.Facts{
		Action: "s3:PutObject", Now: r.server.Now(), Region: r.server.Region, Secure: true, Caller: caller,
		ResourceAccount: owner.GetAccount(), Creation: "true",
	})
	c.Set("aws:SourceArn", "arn:aws:s3:::"+of.Name)
	c.Set("aws:SourceAccount", owner.GetAccount())
	c.Set("aws:PrincipalIsAWSService", "true")
	c.Set("aws:PrincipalServiceName", logService)
	return policy.Evaluate([]policy.Named{{ID: "bucket-policy", Policy: rules.policy}}, &policy.Request{
		Caller: caller, Action: "s3:PutObject", Resource: "arn:aws:s3:::" + target.Name + "/" + key, Context: c,
	}), nil
}

// logACL is the list of a log: its owner's, and the target grants where lists count. A
// grant to who is gone, or that a public access block forbids, is left out.
func (r *Request) logACL(target *fsm.Bucket, e *s3xml.LoggingEnabled) (*event.ACL, error) {
	rules, err := r.rules(target)
	if err != nil {
		return nil, err
	}
	acl, err := access.Canned("private", access.Subject{Target: access.Object, Owner: target.Owner, BucketOwner: target.Owner})
	if err != nil || rules.aclsDisabled() || e.TargetGrants == nil {
		return acl, err
	}
	for i := range e.TargetGrants.Grants {
		one, err := r.grantsOnLogs(target, e.TargetGrants.Grants[i:i+1])
		var refused *s3err.Error
		if errors.As(err, &refused) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if rules.refusePublic(one) == nil && len(acl.Grants) < access.MaxGrants {
			acl.Grants = append(acl.Grants, one.Grants...)
		}
	}
	return acl, nil
}
