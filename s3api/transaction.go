package s3api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/accesslog"
	"ironman/s3api/s3err"
	"ironman/s3api/transaction"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// A transaction is requests that are made at once: of each operation a Request is made as
// it would have come by itself, and admitted and made ready by the functions of the
// operation of its name, all at one view. What differs is that one event does them all.
const (
	transactionName = "CommitTransaction"
	// transactionLevel is the feature level from which nodes know the event.
	transactionLevel = 4
	// requestDigestBytes of the digest of a request are kept with each object it made.
	requestDigestBytes = 16
)

// requestDigest tells a request from others: who commits, and the document. What another
// has committed is not told to whoever has the same document. It stays in the record for
// ever, also when the document's keys were erased there: it must not confirm a guess of them.
func (s *Server) requestDigest(p access.Principal, document []byte) []byte {
	id := digest.SHA256([]byte(p.ID()))
	sum := s.Secrets.Recognize(append(id[:], document...))
	return sum[:requestDigestBytes]
}

// commitTransaction does up to 100 puts, copies and deletes of a bucket, or none of them.
func (s *Server) commitTransaction(ctx context.Context, r *Request) (*Response, error) {
	if err := r.requireIntegrity(); err != nil {
		return nil, err
	}
	if err := r.refuseHeaders(operationHeaders[:]...); err != nil {
		return nil, err
	}
	text, err := r.readDocument(transaction.MaxBytes)
	if err != nil {
		return nil, err
	}
	if r.cluster.GetFeatureLevel() < transactionLevel {
		return nil, s3err.Newf("ServiceUnavailable", "The cluster is being upgraded. Transactions can be committed once all of its nodes are.")
	}
	doc, err := transaction.Decode(text)
	if err != nil {
		return nil, documentError(err)
	}
	t := &transacting{doc: doc, request: s.requestDigest(r.principal, text)}
	for tries := 0; ; tries++ {
		resp, err := s.commitOnce(ctx, r, t)
		if err == nil {
			return resp, nil
		}
		switch t.refused {
		case event.Refusal_REFUSAL_SOURCE_CHANGED, event.Refusal_REFUSAL_INVALID_PART: // as afresh does
			if tries == maxAfresh {
				return nil, err
			}
			if err := s.lookAgain(ctx, r); err != nil {
				return nil, err
			}
		case event.Refusal_REFUSAL_NO_SUCH_UPLOAD, event.Refusal_REFUSAL_NO_SUCH_KEY, event.Refusal_REFUSAL_PRECONDITION_FAILED:
			return s.sentTwice(ctx, r, t, err)
		default:
			return nil, err
		}
	}
}

// sentTwice answers a transaction that was refused because another request with the same
// document came first; any other with why it was refused.
func (s *Server) sentTwice(ctx context.Context, r *Request, t *transacting, refused error) (*Response, error) {
	if err := s.lookAgain(ctx, r); err != nil {
		return nil, refused
	}
	resp, err := s.committedBefore(r, t, s.operationRequests(r, t.doc))
	if resp == nil && err == nil {
		err = refused
	}
	return resp, err
}

// operationHeaders begin those that say of an operation what a document must say here.
var operationHeaders = [...]string{
	"If-", "X-Amz-Acl", "X-Amz-Bypass-Governance-Retention", "X-Amz-Copy-Source", "X-Amz-Grant-", "X-Amz-If-Match-", metaPrefix, "X-Amz-Metadata-Directive",
	"X-Amz-Mp-Object-Size", lockHeaders, sseHeader, "X-Amz-Storage-Class", "X-Amz-Tagging", "X-Amz-Website-Redirect-Location", appendHeader,
}

// transacting is a transaction that is being committed.
type transacting struct {
	doc     *transaction.Document
	request []byte        // requestDigest
	refused event.Refusal // why apply refused its last event; NONE: there is none
}

// documentError is what is wrong with a document as a client sees it.
func documentError(err error) error {
	var e *transaction.Error
	if !errors.As(err, &e) {
		return err
	}
	out := s3err.Newf("InvalidRequest", "%s", e.Message)
	if e.Operation >= 0 {
		out = out.WithInt("OperationIndex", int64(e.Operation))
	}
	return out
}

// operationError names the operation that an error is about.
func operationError(err error, i int, key string) error {
	return clientError(err).WithInt("OperationIndex", int64(i)).With("OperationKey", key)
}

// admitTransaction decides on a transaction before it is read. Where a policy has a say
// each operation is judged for itself, later; elsewhere they are alike.
func (s *Server) admitTransaction(r *Request, q question) error {
	if r.principal.Anonymous() {
		return s3err.Newf("AccessDenied", "Anonymous users cannot commit transactions. Please authenticate.")
	}
	return s.admitDeletes(r, q)
}

// commitOnce makes an event of what the view shows.
func (s *Server) commitOnce(ctx context.Context, r *Request, t *transacting) (*Response, error) {
	t.refused = event.Refusal_REFUSAL_NONE
	subs := s.operationRequests(r, t.doc)
	for i, sub := range subs {
		if err := sub.checkOperation(); err != nil {
			return nil, operationError(err, i, sub.Key)
		}
	}
	if resp, err := s.committedBefore(r, t, subs); resp != nil || err != nil {
		return resp, err
	}
	if err := s.requireUploads(r, t, subs); err != nil {
		return nil, err
	}
	b := &event.TransactionCommitted{Bucket: r.bucket.Bucket, Request: t.request}
	d := event.NewDraft(nil, &event.Statement_TransactionCommitted{TransactionCommitted: b})
	answer := &transaction.Answer{}
	var all []*readyOperation
	todo, pieces := false, 0
	for i, sub := range subs {
		ready, err := s.readyOperation(sub, &t.doc.Operations[i])
		if err == nil {
			if pieces += ready.pieces; pieces > fsm.MaxTransactionPieces {
				err = s3err.Newf("TooManyParts", "The uploads of all operations have more than %d parts together, or are made of more pieces.", fsm.MaxTransactionPieces)
			}
		}
		if err != nil {
			return nil, operationError(err, i, sub.Key)
		}
		all = append(all, ready)
		todo = todo || !ready.decided
		r.charged = r.charged || sub.charged
		ready.operation.Reason = sub.reason
		b.Operations = append(b.Operations, ready.operation)
		answer.Results = append(answer.Results, ready.result)
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, sub.Key)
		if ready.operation.Copied != nil {
			d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, i, sub.source.key).
				AddMessage(event.ItemKind_ITEM_KIND_HEADERS, i, ready.headers).AddMessage(event.ItemKind_ITEM_KIND_TAGS, i, ready.tags)
		}
	}
	if err := r.foreseeQuota(all); err != nil {
		return nil, err
	}
	r.reason = subs[0].reason
	r.closeView()
	if !todo { // only what is not there was to be deleted
		return transactionAnswer(answer)
	}
	o, err := s.agree(ctx, r, d, r.eventID)
	if s3err.Is(err, "EntityTooLarge") {
		err = s3err.Newf("EntityTooLarge", "The transaction takes more than %d bytes in the log. Commit fewer operations or parts.", event.MaxProposalBytes).Because(err)
	}
	if err != nil {
		return nil, err
	}
	if o.Refusal != event.Refusal_REFUSAL_NONE {
		t.refused = o.Refusal
		return nil, r.refusedOperation(o, subs)
	}
	for i, sub := range o.Subs {
		subs[i].setMade(&answer.Results[i], b.Operations[i], sub)
		r.logOperation(subs[i], b.Operations[i])
	}
	answer.Sequence, _ = strconv.ParseUint(r.responseHeader.Get(sequenceHeader), 10, 64)
	return transactionAnswer(answer)
}

// requireUploads refuses a transaction of which an upload is gone, whatever else would
// refuse it: it may have been committed, and what it made have been replaced. Any other
// refusal so says that none of its puts was done.
func (s *Server) requireUploads(r *Request, t *transacting, subs []*Request) error {
	for i, sub := range subs {
		if t.doc.Operations[i].Put == nil {
			continue
		}
		sub.bucket = r.bucket
		_, err := sub.upload()
		if s3err.Is(err, "NoSuchUpload") {
			if denied := s.admit(sub); denied != nil {
				err = denied
			}
		}
		if err != nil {
			return operationError(err, i, sub.Key)
		}
	}
	return nil
}

// committedBefore answers a transaction that the same request has committed, as far as
// what it made is still there; nil: that cannot be said. Only puts can tell: each of their
// uploads is gone and became a version that remembers this request.
func (s *Server) committedBefore(r *Request, t *transacting, subs []*Request) (*Response, error) {
	made := make([]*fsm.Object, len(subs))
	seq := uint64(0)
	for i, sub := range subs {
		if t.doc.Operations[i].Put == nil {
			continue
		}
		id, ok := event.ParseVersionID(sub.Query.Get("uploadId"))
		if !ok {
			return nil, nil
		}
		if u, err := r.view.Upload(r.bucket.Bucket, sub.Key, id); u != nil || err != nil {
			return nil, err
		}
		o, err := r.view.Completed(r.bucket.Bucket, sub.Key, id)
		if err != nil || o == nil || !bytes.Equal(o.Transaction, t.request) || o.Version.Ordinal != uint32(i) || seq != 0 && o.Version.Seq != seq {
			return nil, err
		}
		made[i], seq = o, o.Version.Seq
	}
	if seq == 0 {
		return nil, nil
	}
	answer := &transaction.Answer{Sequence: seq, Repeated: true}
	for i, sub := range subs {
		if made[i] != nil {
			err := s.admit(sub)
			if err == nil {
				err = s.mayLearn(sub, made[i])
			}
			if err != nil {
				return nil, operationError(err, i, sub.Key)
			}
		} else {
			var err error
			if made[i], err = r.view.Version(r.bucket.Bucket, sub.Key, &event.Version{Seq: seq, Ordinal: uint32(i)}); err != nil {
				return nil, err
			}
		}
		answer.Results = append(answer.Results, madeBefore(sub, made[i]))
	}
	r.happened(seq)
	return transactionAnswer(answer)
}

// madeBefore is the result of an operation by what it made; nil: that is gone, or was nothing.
func madeBefore(sub *Request, o *fsm.Object) transaction.Result {
	out := transaction.Result{Key: sub.Key, DeleteMarker: o.GetDeleteMarker()}
	switch {
	case o == nil:
		return out
	case out.DeleteMarker:
		out.VersionID = objectVersionID(o)
		return out
	case !o.NullVersion:
		out.VersionID = o.Version.ID()
	}
	if o.Owner == sub.principal.Owner() {
		out.ETag, out.Size = quoted(o.Etag), sizeOf(o.Size)
	}
	return out
}

// setMade completes a result by what apply decided.
func (r *Request) setMade(out *transaction.Result, o *event.TransactionOperation, sub *event.SubOutcome) {
	switch {
	case o.Deleted == nil:
		if !sub.NullVersion {
			out.VersionID = sub.Version.ID()
		}
	case r.Query.Has("versionId"):
		out.VersionID, out.DeleteMarker = r.Query.Get("versionId"), sub.DeleteMarker
	case sub.DeleteMarker:
		out.VersionID, out.DeleteMarker = versionID(sub.Version, sub.NullVersion), true
	}
}

// refusedOperation is why apply refused a transaction, and because of which operation.
func (r *Request) refusedOperation(o *event.Outcome, subs []*Request) error {
	i := slices.IndexFunc(o.Subs, func(sub *event.SubOutcome) bool { return sub.Refusal != event.Refusal_REFUSAL_NONE })
	if i < 0 {
		return s3err.FromRefusal(o.Refusal).About(s3err.Subject{Bucket: r.Bucket})
	}
	q := subs[i].Query
	e := s3err.FromRefusal(o.Subs[i].Refusal).About(s3err.Subject{Bucket: r.Bucket, Key: subs[i].Key, VersionID: q.Get("versionId"), UploadID: q.Get("uploadId")})
	return operationError(e, i, subs[i].Key)
}

// logOperation notes for the access log of the bucket what was done.
func (r *Request) logOperation(sub *Request, o *event.TransactionOperation) {
	name, status := accesslog.BatchDelete, http.StatusNoContent
	switch {
	case o.Completed != nil:
		name, status = accesslog.BatchPut, http.StatusOK
	case o.Copied != nil:
		name, status = accesslog.BatchCopy, http.StatusOK
	}
	r.log.did(r.bucket, name, sub.Key, sub.Query.Get("versionId"), status)
}

// transactionAnswer tells what was done.
func transactionAnswer(a *transaction.Answer) (*Response, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	return &Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: textBody{bytes.NewReader(text)}, Length: int64(len(text))}, nil
}
