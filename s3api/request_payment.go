package s3api

import (
	"context"

	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketRequestPayment returns who pays for requests: the bucket's owner, if nothing
// else was said.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html
func (s *Server) getBucketRequestPayment(_ context.Context, r *Request) (*Response, error) {
	rules, err := r.shownRules()
	if err != nil {
		return nil, err
	}
	payer := s3xml.PayerBucketOwner
	if rules.requesterPays {
		payer = s3xml.PayerRequester
	}
	return &Response{XML: &s3xml.RequestPaymentConfiguration{Payer: payer}}, nil
}

// putBucketRequestPayment sets who pays for requests. Nobody is sent a bill; but where
// requesters pay, whoever does not say that it will is refused.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html
func (s *Server) putBucketRequestPayment(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.RequestPaymentConfiguration
	if err := r.newDocument(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	var stored s3xml.Response
	if doc.Payer == s3xml.PayerRequester {
		stored = &doc
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_REQUEST_PAYMENT, stored)
}
