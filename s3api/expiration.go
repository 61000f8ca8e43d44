package s3api

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"ironman/fsm"
	"ironman/s3api/lifecycle"
	"ironman/wal/event"
)

// lifecycleRules are those of the request's bucket; nil: there are none, or they cannot be
// read, which removes nothing.
func (r *Request) lifecycleRules() (*lifecycle.Configuration, error) {
	const kind = event.DocumentKind_DOCUMENT_KIND_LIFECYCLE
	doc, err := r.shownDocument(kind)
	if err != nil || doc == nil {
		return nil, err
	}
	c, err := r.server.lifecycles.parse(doc.Text)
	if err != nil {
		r.server.Logger.Error("a bucket's lifecycle rules cannot be read: nothing expires", "request", r.RequestID(), "bucket", r.bucket.Name, "err", err)
		return nil, nil
	}
	return c, nil
}

// setExpiration says in a header when, and by which rule, a current version will expire.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func setExpiration(h http.Header, rules *lifecycle.Configuration, key string, size, created int64, tags *event.Tags) {
	if rules == nil {
		return
	}
	due, by := rules.Expiry(&lifecycle.Subject{Key: key, Size: size, Created: created, Tag: tags.Value})
	if by != nil {
		h.Set("X-Amz-Expiration", fmt.Sprintf(`expiry-date="%s", rule-id="%s"`,
			time.Unix(0, due).UTC().Format(http.TimeFormat), url.PathEscape(by.ID)))
	}
}

// expiration sets the header for the object that a request reads.
func (r *Request) expiration(h http.Header, o *fsm.Object) error {
	if r.Query.Has("versionId") {
		return nil // it may not be current
	}
	rules, err := r.lifecycleRules()
	if err == nil {
		setExpiration(h, rules, r.Key, int64(o.Size), o.Time, o.Tags)
	}
	return err
}

// setAbortion says in headers when, and by which rule, an open upload will be aborted.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
func setAbortion(h http.Header, rules *lifecycle.Configuration, key string, created int64) {
	if rules == nil {
		return
	}
	due, by := rules.AbortDate(&lifecycle.Subject{Key: key, Created: created, Upload: true})
	if by != nil {
		h.Set("X-Amz-Abort-Date", time.Unix(0, due).UTC().Format(http.TimeFormat))
		h.Set("X-Amz-Abort-Rule-Id", url.PathEscape(by.ID))
	}
}
