package s3api

import (
	"context"
	"slices"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// getBucketNotification returns who is told of a bucket's events; nobody is an empty
// document.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
func (s *Server) getBucketNotification(_ context.Context, r *Request) (*Response, error) {
	d, err := r.shownDocument(event.DocumentKind_DOCUMENT_KIND_NOTIFICATION)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return &Response{XML: &s3xml.NotificationConfiguration{}}, nil
	}
	return &Response{XML: s3xml.Raw(d.Text)}, nil
}

// putBucketNotification sets who is told of a bucket's events. An empty document removes
// all. Configurations without an id are given one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
func (s *Server) putBucketNotification(ctx context.Context, r *Request) (*Response, error) {
	var doc s3xml.NotificationConfiguration
	if err := r.decodeXML(s3xml.MaxBody, &doc); err != nil {
		return nil, err
	}
	all := doc.All()
	owner, err := r.view.Account(r.bucket.Owner)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		name, _ := s3xml.WebhookName(n.Target())
		accounts, ok := s.Webhooks[name]
		if !ok {
			return nil, s3err.InvalidArgument(n.Target(), "The destination does not exist", "Unable to validate the following destination configurations")
		}
		if len(accounts) > 0 && !slices.Contains(accounts, owner.GetAccount()) {
			return nil, s3err.Newf("AccessDenied", "This webhook does not take the events of this bucket's owner.")
		}
		if n.ID == "" {
			n.ID = newConfigurationID()
		}
	}
	var stored s3xml.Response
	if len(all) > 0 {
		stored = &doc
	}
	return &Response{}, s.setDocument(ctx, r, event.DocumentKind_DOCUMENT_KIND_NOTIFICATION, stored)
}
