package s3api

import (
	"bytes"
	"context"
	"fmt"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// documentLevel is the feature level from which on a bucket's row lists its documents.
const documentLevel = 3

// document is a document of a bucket; nil if there is none. What the bucket's row does
// not list is not looked for.
func document(view *fsm.View, b *fsm.Bucket, kind event.DocumentKind) (*fsm.Document, error) {
	if !b.Lists(kind) {
		return nil, nil
	}
	return view.Document(b.Bucket, kind)
}

// shownDocument is a document of the request's bucket as it is read.
func (r *Request) shownDocument(kind event.DocumentKind) (*fsm.Document, error) {
	return document(r.shownView(), r.shownBucket(), kind)
}

// decodeDocument reads a stored document of a bucket into v. ok is false if there is none.
func decodeDocument(view *fsm.View, b *fsm.Bucket, kind event.DocumentKind, v any) (ok bool, err error) {
	d, err := document(view, b, kind)
	if err != nil || d == nil {
		return false, err
	}
	if err := s3xml.Decode(bytes.NewReader(d.Text), int64(len(d.Text)), v); err != nil {
		return false, fmt.Errorf("s3api: the stored %v of bucket %d cannot be read: %v", kind, b.Bucket, err)
	}
	return true, nil
}

// getDocument answers with a stored document; missing is the error if there is none.
func (r *Request) getDocument(kind event.DocumentKind, missing string) (*Response, error) {
	d, err := r.shownDocument(kind)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, s3err.New(missing).With("BucketName", r.Bucket)
	}
	return &Response{XML: s3xml.Raw(d.Text)}, nil
}

// newDocument reads the request's document, which must come with a digest.
func (r *Request) newDocument(limit int, v any) error {
	if err := r.requireIntegrity(); err != nil {
		return err
	}
	return r.decodeXML(limit, v)
}

// setDocument stores a document as it will be answered, or removes it (nil). Removing
// what is not there is no event. It closes the view.
func (s *Server) setDocument(ctx context.Context, r *Request, kind event.DocumentKind, doc s3xml.Response) error {
	if err := r.checkDocumentLevel(); err != nil {
		return err
	}
	if doc == nil && !r.bucket.Lists(kind) {
		return nil
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{Bucket: r.bucket.Bucket, Kind: kind}})
	if doc != nil {
		d.Add(event.ItemKind_ITEM_KIND_DOCUMENT, 0, doc.AppendXML(nil))
	}
	_, err := s.propose(ctx, r, d)
	return err
}

// deleteDocument removes a document.
func (s *Server) deleteDocument(ctx context.Context, r *Request, kind event.DocumentKind) (*Response, error) {
	if err := s.setDocument(ctx, r, kind, nil); err != nil {
		return nil, err
	}
	return noContent(), nil
}

// checkDocumentLevel: nodes of older releases, which are in the cluster below the level,
// would keep a bucket's row otherwise.
func (r *Request) checkDocumentLevel() error {
	if r.cluster.GetFeatureLevel() < documentLevel {
		return s3err.Newf("ServiceUnavailable", "The cluster is being upgraded. Bucket configurations can be set once all of its nodes are.")
	}
	return nil
}
