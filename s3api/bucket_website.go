package s3api

import (
	"context"
	"errors"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/s3api/website"
	"ironman/wal/event"
)

// getBucketWebsite returns how a bucket is to be shown as a website.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketWebsite.html
func (s *Server) getBucketWebsite(_ context.Context, r *Request) (*Response, error) {
	return r.getDocument(event.DocumentKind_DOCUMENT_KIND_WEBSITE, "NoSuchWebsiteConfiguration")
}

// putBucketWebsite sets how a bucket is to be shown as a website.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html
func (s *Server) putBucketWebsite(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.WebsiteConfiguration
	if err := r.newDocument(s3xml.MaxWebsiteBody, &doc); err != nil {
		return nil, err
	}
	// What is stored must be such that the site can follow it: a visitor cannot mend it.
	var unfit *website.Error
	if _, err := website.Parse(doc.AppendXML(nil)); errors.As(err, &unfit) {
		if unfit.Malformed {
			return nil, s3err.New("MalformedXML")
		}
		return nil, s3err.Newf("InvalidArgument", "The website configuration cannot be followed: %s", unfit.Element).With("ArgumentName", unfit.Element)
	} else if err != nil {
		return nil, err
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_WEBSITE, &doc)
}

// deleteBucketWebsite removes a bucket's website configuration.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketWebsite.html
func (s *Server) deleteBucketWebsite(ctx context.Context, r *Request) (*Response, error) {
	return s.deleteDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_WEBSITE)
}
