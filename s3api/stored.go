package s3api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// Limits of what is stored beside the bytes.
const (
	maxMetadataBytes = 2 << 10
	maxTags          = 10
	metaPrefix       = "X-Amz-Meta-"
)

func i64toa(n int64) string { return strconv.FormatInt(n, 10) }

// stored reads the headers and tags that are kept with the object.
func (r *Request) stored() (*event.Headers, *event.Tags, error) {
	h := r.Header
	out := &event.Headers{
		ContentType: h.Get("Content-Type"), ContentEncoding: sig.ContentEncoding(h),
		ContentDisposition: h.Get("Content-Disposition"), ContentLanguage: h.Get("Content-Language"),
		CacheControl: h.Get("Cache-Control"), Expires: h.Get("Expires"),
		WebsiteRedirect: r.Header.Get("X-Amz-Website-Redirect-Location"),
	}
	for _, v := range []string{out.ContentType, out.ContentEncoding, out.ContentDisposition, out.ContentLanguage, out.CacheControl, out.Expires, out.WebsiteRedirect} {
		if !validHeaderValue(v) {
			return nil, nil, s3err.Newf("InvalidArgument", "A header that is stored with the object is not valid UTF-8.")
		}
	}
	if w := out.WebsiteRedirect; w != "" && !strings.HasPrefix(w, "/") && !strings.HasPrefix(w, "http://") && !strings.HasPrefix(w, "https://") {
		return nil, nil, s3err.New("InvalidRedirectLocation")
	}
	total := 0
	for name, values := range h {
		short, ok := strings.CutPrefix(name, metaPrefix)
		if !ok {
			continue
		}
		value := strings.Join(values, ",")
		total += len(short) + len(value)
		if !validHeaderValue(value) {
			return nil, nil, s3err.Newf("InvalidArgument", "User metadata is not valid.").With("ArgumentName", strings.ToLower(name))
		}
		out.User = append(out.User, &event.UserHeader{Name: strings.ToLower(short), Value: value})
	}
	if total > maxMetadataBytes {
		return nil, nil, s3err.New("MetadataTooLarge").With("Size", itoa(total)).With("MaxSizeAllowed", itoa(maxMetadataBytes))
	}
	slices.SortFunc(out.User, func(a, b *event.UserHeader) int { return strings.Compare(a.Name, b.Name) })
	tags, err := parseTags(r.Header.Get("X-Amz-Tagging"))
	return out, tags, err
}

// parseTags reads the x-amz-tagging header: a query string.
func parseTags(v string) (*event.Tags, error) {
	if v == "" {
		return &event.Tags{}, nil
	}
	q, err := url.ParseQuery(v)
	if err != nil {
		return nil, s3err.Newf("InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	if len(q) > maxTags {
		return nil, s3err.Newf("BadRequest", "Object tags cannot be greater than 10")
	}
	return checkTags(q)
}

// checkTags makes tags of names and their values, of which each has one.
func checkTags(q map[string][]string) (*event.Tags, error) {
	if len(q) > maxTags {
		return nil, s3err.Newf("InvalidTag", "Object tags cannot be greater than 10")
	}
	out := &event.Tags{}
	for k, values := range q {
		switch {
		case len(values) > 1:
			return nil, s3err.Newf("InvalidTag", "Cannot provide multiple Tags with the same key")
		case k == "" || len([]rune(k)) > 128 || !utf8.ValidString(k):
			return nil, s3err.Newf("InvalidTag", "The TagKey you have provided is invalid")
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return nil, s3err.Newf("InvalidTag", "System tags cannot be added/updated by requester")
		case len([]rune(values[0])) > 256 || !utf8.ValidString(values[0]):
			return nil, s3err.Newf("InvalidTag", "The TagValue you have provided is invalid")
		}
		out.Tags = append(out.Tags, &event.Tag{Key: k, Value: values[0]})
	}
	slices.SortFunc(out.Tags, func(a, b *event.Tag) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// setStored puts stored headers on an answer.
func setStored(h http.Header, s *event.Headers) {
	h.Set("Content-Type", "binary/octet-stream")
	if s == nil {
		return
	}
	for name, v := range map[string]string{
		"Content-Type": s.ContentType, "Content-Encoding": s.ContentEncoding,
		"Content-Disposition": s.ContentDisposition, "Content-Language": s.ContentLanguage,
		"Cache-Control": s.CacheControl, "Expires": s.Expires,
		"X-Amz-Website-Redirect-Location": s.WebsiteRedirect,
	} {
		if v != "" {
			h[name] = []string{v}
		}
	}
	for _, u := range s.User {
		h["x-amz-meta-"+u.Name] = []string{u.Value} // lower case: clients take the name as it comes
	}
}

// validHeaderValue refuses what could break out of a header.
func validHeaderValue(v string) bool {
	return utf8.ValidString(v) && !strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// storageClasses are those that are accepted; all are stored alike.
var storageClasses = [...]string{"STANDARD", "REDUCED_REDUNDANCY"}

func (r *Request) storageClassHeader() (string, error) {
	c := r.Header.Get("X-Amz-Storage-Class")
	if c == "" || c == "STANDARD" {
		return "", nil
	}
	if !slices.Contains(storageClasses[:], c) {
		return "", s3err.New("InvalidStorageClass").With("StorageClassRequested", c)
	}
	return c, nil
}

// refuseHeaders refuses headers that ask for what the operation cannot do: never
// silently ignored, for they promise the client something.
func (r *Request) refuseHeaders(prefixes ...string) error {
	for name, values := range r.Header {
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) && len(values) > 0 {
				return s3err.Newf("NotImplemented", "A header you provided implies functionality that is not implemented").
					With("Header", strings.ToLower(name))
			}
		}
	}
	return nil
}

// Of what a part, a copy or an upload cannot have: an append is a PUT, and what locks an
// object is said where the upload begins.
const (
	appendHeader = "X-Amz-Write-Offset-Bytes"
	lockHeaders  = "X-Amz-Object-Lock-"
)
