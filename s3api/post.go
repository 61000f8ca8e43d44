package s3api

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ironman/s3api/form"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/s3api/sig"
)

// postObjectName is the operation whose request is a form: its key, its headers and
// who asks are read out of the body.
const postObjectName = "PostObject"

// postObject stores the file of a browser's form. The form was read and its policy
// checked before this; what is left is PutObject.
// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
func (s *Server) postObject(ctx context.Context, r *Request) (*Response, error) {
	redirect, err := r.successRedirect()
	if err != nil {
		return nil, err
	}
	resp, err := s.putObject(ctx, r)
	if err != nil {
		return nil, err
	}
	etag, location := resp.Header.Get("Etag"), r.location()
	resp.Header.Set("Location", location)
	switch {
	case redirect != nil:
		resp.Status = http.StatusSeeOther
		resp.Header.Set("Location", redirect(etag))
	case r.form.Fields["success_action_status"] == "200":
		resp.Status = http.StatusOK
	case r.form.Fields["success_action_status"] == "201":
		resp.Status = http.StatusCreated
		resp.XML = &s3xml.PostResponse{Location: location, Bucket: r.Bucket, Key: r.Key, ETag: s3xml.ETag(strings.Trim(etag, `"`))}
	default:
		resp.Status = http.StatusNoContent
	}
	return resp, nil
}

// takeForm reads a form up to its file, and the key out of it. For every other
// operation it does nothing.
func (r *Request) takeForm() error {
	if r.op.name != postObjectName {
		return nil
	}
	fields := &fieldsBody{Reader: r.HTTP.Body, now: r.server.Now, until: r.server.Now().Add(r.server.BodyIdle)}
	f, err := form.Read(fields, r.HTTP.Header.Get("Content-Type"), func(name string) bool {
		return formHeader(name) != "" || knownField(name)
	})
	if err != nil {
		return err
	}
	fields.done = true
	if _, ok := f.Fields["key"]; !ok {
		return s3err.InvalidArgument("key", "", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	if err := nameFile(f); err != nil {
		return err
	}
	key := f.Fields["key"]
	if key == "" {
		return s3err.InvalidArgument("key", "", "User key must have a length greater than 0.")
	}
	r.form, r.Key = f, key
	return checkKey(key)
}

// nameFile puts the file's name where fields ask for it, as the policy is to see them. The
// policy itself, and what signs it, stay as they were sent.
func nameFile(f *form.Form) error {
	const asked = "${filename}"
	name, size := f.BaseName(), 0
	for field, value := range f.Fields {
		if signsForm(field) {
			continue
		}
		if size += len(value) + strings.Count(value, asked)*len(name); size > form.MaxFields {
			return s3err.New("MaxPostPreDataLengthExceeded").WithInt("MaxPostPreDataLengthBytes", form.MaxFields)
		}
		f.Fields[field] = strings.ReplaceAll(value, asked, name)
	}
	return nil
}

// signsForm tells the fields that are the policy, or say who has signed it.
func signsForm(field string) bool {
	switch field {
	case "awsaccesskeyid", "policy", "signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature":
		return true
	}
	return false
}

// fieldsBody is a form of which the fields must come in time: until they have, it may
// be anybody's, and one byte after the other would hold a connection for days.
type fieldsBody struct {
	io.Reader
	now   func() time.Time
	until time.Time
	done  bool // the file is next, for which only standing still is too slow
}

// Read implements io.Reader.
func (b *fieldsBody) Read(p []byte) (int, error) {
	if !b.done && b.now().After(b.until) {
		return 0, s3err.New("RequestTimeout")
	}
	return b.Reader.Read(p)
}

// verify finds out who asks: of the headers and the query, or of a form.
func (s *Server) verify(ctx context.Context, r *Request) (*sig.Identity, error) {
	if r.form == nil {
		return s.verifier.Verify(ctx, r.HTTP)
	}
	id, policy, err := s.verifier.VerifyPost(ctx, r.HTTP, r.form.Fields)
	if err != nil {
		return nil, err
	}
	if policy != nil {
		if err := policy.Check(r.form.Fields, r.Bucket, s.Now()); err != nil {
			return nil, err
		}
		r.form.File.Bound(policy.Least, policy.Most)
	}
	return id, r.becomePut()
}

// becomePut makes of the form what PutObject reads: the fields are its headers, the
// file is its body. Headers of the request that say something of an object are not the
// form's, and no policy speaks of them.
func (r *Request) becomePut() error {
	for _, name := range slices.Sorted(maps.Keys(r.HTTP.Header)) {
		if strings.HasPrefix(name, "If-") {
			return s3err.Newf("NotImplemented", "A form cannot be conditional.").With("Header", strings.ToLower(name))
		}
	}
	h := make(http.Header)
	for name, values := range r.HTTP.Header {
		if name == "X-Amz-Expected-Bucket-Owner" || !strings.HasPrefix(name, "X-Amz-") && formHeader(strings.ToLower(name)) == "" {
			h[name] = values
		}
	}
	for _, field := range slices.Sorted(maps.Keys(r.form.Fields)) {
		name, value := formHeader(field), r.form.Fields[field]
		switch {
		case name == "" && strings.HasPrefix(field, "x-amz-") && !knownField(field):
			return s3err.Newf("NotImplemented", "A field you provided implies functionality that is not implemented").With("Field", field)
		case name == "":
			continue
		case !validHeaderValue(value):
			return s3err.InvalidArgument(field, "", "The value of a field that is stored as a header must be one line of UTF-8.")
		}
		h.Add(name, value)
	}
	if err := r.takeTagging(h); err != nil {
		return err
	}
	// A copy: net/http knows its own request by the original.
	r.HTTP = r.HTTP.WithContext(r.HTTP.Context())
	r.HTTP.Header, r.HTTP.Body, r.HTTP.ContentLength = h, io.NopCloser(r.form.File), -1
	return nil
}

// takeTagging makes the header that PutObject reads of the document in the field.
func (r *Request) takeTagging(h http.Header) error {
	document, ok := r.form.Fields["tagging"]
	if !ok {
		return nil
	}
	var t s3xml.Tagging
	if err := s3xml.Decode(strings.NewReader(document), form.MaxFields, &t); err != nil {
		return err
	}
	tags := make(url.Values)
	for _, tag := range t.TagSet.Tags {
		tags.Add(tag.Key, tag.Value)
	}
	h.Set("X-Amz-Tagging", tags.Encode())
	return nil
}

// formHeader names the header of a PUT that a field stands for; "" for none.
func formHeader(field string) string {
	switch field {
	case "acl":
		return "X-Amz-Acl"
	case "cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
		"x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-sdk-checksum-algorithm":
		return http.CanonicalHeaderKey(field)
	}
	for _, prefix := range [...]string{"x-amz-meta-", "x-amz-checksum-", "x-amz-grant-", "x-amz-server-side-encryption", "x-amz-object-lock-"} {
		if strings.HasPrefix(field, prefix) && !strings.HasSuffix(field, "-") && validFieldName(field) {
			return http.CanonicalHeaderKey(field)
		}
	}
	return ""
}

// validFieldName reports whether a field can be a header's name.
func validFieldName(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
	})
}

// knownField tells the fields that mean something but stand for no header.
func knownField(field string) bool {
	switch field {
	case "awsaccesskeyid", "bucket", "key", "policy", "redirect", "signature", "success_action_redirect", "success_action_status", "tagging",
		"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature":
		return true
	}
	return false
}

// successRedirect reads where the browser is to go; nil: nowhere. What cannot be read
// as an address is as if it were not there, but must not break the answer's headers.
func (r *Request) successRedirect() (func(etag string) string, error) {
	field := "success_action_redirect"
	to, ok := r.form.Fields[field]
	if !ok {
		field = "redirect" // its name of old
		to = r.form.Fields[field]
	}
	if !validHeaderValue(to) {
		return nil, s3err.InvalidArgument(field, "", "A redirect must be one line of UTF-8.")
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, nil
	}
	return func(etag string) string {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += "bucket=" + url.QueryEscape(r.Bucket) + "&key=" + url.QueryEscape(r.Key) + "&etag=" + url.QueryEscape(etag)
		return u.String()
	}, nil
}

// location is the address of the object, in the style in which the bucket was
// addressed.
func (r *Request) location() string {
	u := url.URL{Scheme: "http", Host: r.HTTP.Host, Path: "/" + r.Key}
	if r.HTTP.TLS != nil {
		u.Scheme = "https"
	}
	if _, virtual := hostBucket(r.HTTP.Host, r.server.Domains); !virtual {
		u.Path = "/" + r.Bucket + "/" + r.Key
	}
	return u.String()
}
