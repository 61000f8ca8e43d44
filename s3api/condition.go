package s3api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// entityTags splits a list of entity tags; "*" stays what it is.
func entityTags(value string) []string {
	var tags []string
	for part := range strings.SplitSeq(value, ",") {
		t := strings.TrimSpace(part)
		t = strings.TrimPrefix(t, "W/")
		if len(t) >= 2 && t[0] == '"' && t[len(t)-1] == '"' {
			t = t[1 : len(t)-1]
		}
		if t != "" {
			tags = append(tags, t)
		}
	}
	return tags
}

// tagList is a header that lists entity tags. It may come in several lines, which are
// one list; to look at the first alone would drop conditions.
func tagList(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }

// wantedTags are the entity tags of an If-Match on a write. A header that names
// none (an empty tag) matches nothing; it must not become no condition at all.
func wantedTags(value string) []string {
	tags := entityTags(value)
	if value != "" && len(tags) == 0 {
		return []string{""}
	}
	return tags
}

// namesTag refuses an If-None-Match that is there and names no tag: it would hold of every
// object, and whoever sent it means to be stopped by one.
func namesTag(name, value string) error {
	if value != "" && len(entityTags(value)) == 0 {
		return s3err.InvalidArgument(strings.ToLower(name), value, "The condition names no entity tag.")
	}
	return nil
}

func matchesTag(tags []string, etag string) bool {
	for _, t := range tags {
		if t == "*" || strings.EqualFold(t, etag) {
			return true
		}
	}
	return false
}

// readConditions judges the conditions of a GET or HEAD in the order of RFC 9110,
// section 13.2.2.
func (r *Request) readConditions(o *fsm.Object) error {
	return judge(r.Header, "", o, func(condition string) error {
		if condition == "If-None-Match" || condition == "If-Modified-Since" {
			r.errorHeader = notModifiedHeaders(o)
			return s3err.New("NotModified")
		}
		return preconditionFailed(condition)
	})
}

// copyConditions judges the x-amz-copy-source-if-* conditions of a copy.
func (r *Request) copyConditions(o *fsm.Object) error {
	const none = "X-Amz-Copy-Source-If-None-Match"
	if err := namesTag(none, tagList(r.Header, none)); err != nil {
		return err
	}
	return judge(r.Header, "X-Amz-Copy-Source-", o, preconditionFailed)
}

func preconditionFailed(condition string) error {
	return s3err.New("PreconditionFailed").With("Condition", condition)
}

// judge calls fail with the name of the first condition that does not hold.
func judge(h http.Header, prefix string, o *fsm.Object, fail func(string) error) error {
	modified := o.Time / int64(time.Second)
	if v := tagList(h, prefix+"If-Match"); v != "" {
		if !matchesTag(entityTags(v), o.Etag) {
			return fail("If-Match")
		}
	} else if t, ok := httpTime(h.Get(prefix + "If-Unmodified-Since")); ok && modified > t {
		return fail("If-Unmodified-Since")
	}
	if v := tagList(h, prefix+"If-None-Match"); v != "" {
		if matchesTag(entityTags(v), o.Etag) {
			return fail("If-None-Match")
		}
	} else if t, ok := httpTime(h.Get(prefix + "If-Modified-Since")); ok && modified <= t {
		return fail("If-Modified-Since")
	}
	return nil
}

func httpTime(v string) (int64, bool) {
	t, err := http.ParseTime(v)
	return t.Unix(), err == nil
}

// notModifiedHeaders are those that a 304 carries.
func notModifiedHeaders(o *fsm.Object) http.Header {
	all := objectHeaders(o)
	h := make(http.Header)
	for _, name := range []string{"Etag", "Last-Modified", "Cache-Control", "Expires"} {
		if v, ok := all[name]; ok {
			h[name] = v
		}
	}
	return h
}

// writeCondition reads the conditions of a PUT, copy or completion. Apply decides
// them, in log order. https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (r *Request) writeCondition() (*event.Condition, error) {
	match, none := tagList(r.Header, "If-Match"), tagList(r.Header, "If-None-Match")
	if match == "" && none == "" {
		return nil, nil
	}
	if err := namesTag("If-None-Match", none); err != nil {
		return nil, err
	}
	c := &event.Condition{IfMatch: wantedTags(match)}
	for _, t := range entityTags(none) {
		if t == "*" {
			c.IfAbsent = true
			continue
		}
		c.IfNoneMatch = append(c.IfNoneMatch, t)
	}
	return c, nil
}

// deleteCondition reads the conditions of a DELETE.
func (r *Request) deleteCondition() (*event.Condition, error) {
	h := r.Header
	c, any := &event.Condition{}, false
	if v := tagList(h, "If-Match"); v != "" {
		c.IfMatch, any = wantedTags(v), true
	}
	if v := h.Get("X-Amz-If-Match-Size"); v != "" {
		n, err := strconv.ParseUint(v, 10, 63)
		if err != nil {
			return nil, s3err.Newf("InvalidArgument", "Invalid x-amz-if-match-size").With("ArgumentName", "x-amz-if-match-size")
		}
		c.IfSize, any = &n, true
	}
	if v := h.Get("X-Amz-If-Match-Last-Modified-Time"); v != "" {
		t, ok := httpTime(v)
		if !ok {
			return nil, s3err.Newf("InvalidArgument", "Invalid x-amz-if-match-last-modified-time").With("ArgumentName", "x-amz-if-match-last-modified-time")
		}
		c.IfModifiedTime, any = &t, true
	}
	if !any {
		return nil, nil
	}
	return c, nil
}

// foresee refuses what the view already shows that apply would refuse, before the
// body is read, and whoever may not make such a condition. Apply still decides.
func (s *Server) foresee(r *Request, c *event.Condition, o *fsm.Object) error {
	if err := s.admitCondition(r, r.Key, c, o); err != nil {
		return err
	}
	return foreseen(c, o)
}

// admitCondition: what a condition compares with an object it tells of it, so that it
// takes the right to read the object. That there is none, or one, a plain PUT tells.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (s *Server) admitCondition(r *Request, key string, c *event.Condition, o *fsm.Object) error {
	tells := func(tag string) bool { return tag != "*" }
	if c == nil || c.IfSize == nil && c.IfModifiedTime == nil && !slices.ContainsFunc(c.IfMatch, tells) && !slices.ContainsFunc(c.IfNoneMatch, tells) {
		return nil
	}
	kept := r.reason // the event's reason is that of the write
	err := s.admitRow(r, "s3:GetObject", r.bucket, key, o, wanted{})
	r.reason = kept
	if s3err.Is(err, "NoSuchKey") {
		return nil // as may be known: the condition itself will say it
	}
	return err
}

func foreseen(c *event.Condition, o *fsm.Object) error {
	switch {
	case c == nil:
		return nil
	case o != nil && (c.IfAbsent || matchesTag(c.IfNoneMatch, o.Etag)):
		return preconditionFailed("If-None-Match")
	case len(c.IfMatch) > 0 && o == nil:
		return s3err.New("NoSuchKey")
	case len(c.IfMatch) > 0 && !matchesTag(c.IfMatch, o.Etag):
		return preconditionFailed("If-Match")
	}
	return nil
}
