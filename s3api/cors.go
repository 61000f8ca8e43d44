package s3api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// crossOrigin tells whether a page of another origin may be asking.
func (r *Request) crossOrigin() bool { return len(r.HTTP.Header["Origin"]) > 0 && r.Bucket != "" }

// corsRules are the CORS rules of the request's bucket. there is false without a bucket.
func (r *Request) corsRules() (rules []s3xml.CORSRule, there bool, err error) {
	b, err := r.view.BucketByName(r.Bucket)
	if err != nil || b == nil {
		return nil, false, err
	}
	var c s3xml.CORSConfiguration
	_, err = decodeDocument(r.view, b, event.DocumentKind_DOCUMENT_KIND_CORS, &c)
	return c.Rules, true, err
}

// allowOrigin puts on the answer, whatever it will be, what lets a page of another origin
// see it. Requests without an origin cost nothing.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
func (r *Request) allowOrigin() error {
	if !r.crossOrigin() || r.HTTP.Method == http.MethodOptions { // a preflight answers for itself
		return nil
	}
	rules, _, err := r.corsRules()
	if err != nil || len(rules) == 0 {
		return err
	}
	method := r.HTTP.Method
	if asked := r.HTTP.Header.Get("Access-Control-Request-Method"); asked != "" {
		method = asked
	}
	origin := r.HTTP.Header.Get("Origin")
	setVary(r.responseHeader)
	if rule, allowed := matchCORS(rules, origin, method, nil); rule != nil {
		setCORS(r.responseHeader, rule, allowed)
	}
	return nil
}

// preflight answers what a page of another origin may do.
// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html
func (s *Server) preflight(_ context.Context, r *Request) (*Response, error) {
	h := r.HTTP.Header
	origin, method := h.Get("Origin"), h.Get("Access-Control-Request-Method")
	if origin == "" {
		return nil, s3err.Newf("BadRequest", "Insufficient information. Origin request header needed.")
	}
	if !s3xml.CORSMethod(method) {
		if method == "" {
			method = "null"
		}
		return nil, s3err.Newf("BadRequest", "Invalid Access-Control-Request-Method: %s", method)
	}
	kind := "OBJECT"
	if r.Key == "" {
		kind = "BUCKET"
	}
	refuse := func(message string) (*Response, error) {
		e := s3err.New("AccessForbidden")
		if message != "" {
			e.Message = message
		}
		return nil, e.With("Method", method).With("ResourceType", kind)
	}
	rules, there, err := r.corsRules()
	switch {
	case err != nil:
		return nil, err
	case !there:
		return refuse("CORSResponse: Bucket not found")
	case len(rules) == 0:
		return refuse("CORSResponse: CORS is not enabled for this bucket.")
	}
	setVary(r.responseHeader)
	headers := headerNames(h.Values("Access-Control-Request-Headers"))
	rule, allowed := matchCORS(rules, origin, method, headers)
	if rule == nil {
		return refuse("")
	}
	out := http.Header{}
	setCORS(out, rule, allowed)
	if len(headers) > 0 {
		out.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	return &Response{Header: out}, nil
}

// headerNames reads lists of header names; headers have no case.
func headerNames(lists []string) []string {
	var names []string
	for n := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		if n = strings.ToLower(strings.TrimSpace(n)); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// matchCORS finds the first rule that lets a page of an origin send a request of a method
// with headers, and what is to be answered as the allowed origin.
func matchCORS(rules []s3xml.CORSRule, origin, method string, headers []string) (*s3xml.CORSRule, string) {
	if !validHeaderValue(origin) {
		return nil, ""
	}
	for i := range rules {
		rule := &rules[i]
		at := slices.IndexFunc(rule.AllowedOrigins, func(o string) bool { return matchWildcard(o, origin) })
		if at < 0 || !slices.Contains(rule.AllowedMethods, method) || !allowsHeaders(rule, headers) {
			continue
		}
		if rule.AllowedOrigins[at] == "*" {
			return rule, "*"
		}
		return rule, origin
	}
	return nil, ""
}

// allowsHeaders tells whether each header is allowed by name or by a name with "*".
func allowsHeaders(rule *s3xml.CORSRule, headers []string) bool {
	for _, h := range headers {
		allowed := func(name string) bool { return matchWildcard(strings.ToLower(name), h) }
		if !s3xml.HeaderToken(h) || !slices.ContainsFunc(rule.AllowedHeaders, allowed) {
			return false
		}
	}
	return true
}

// matchWildcard: a pattern's one "*" stands for anything, nothing too.
func matchWildcard(pattern, s string) bool {
	before, after, any := strings.Cut(pattern, "*")
	if !any {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// setVary: what is answered depends on who asks from where, so that a cache must not give
// one origin's answer to another.
func setVary(h http.Header) {
	h.Set("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
}

// setCORS puts a rule on an answer. Credentials are for named origins only: with "*" they
// would be for everybody.
func setCORS(h http.Header, rule *s3xml.CORSRule, origin string) {
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", strings.Join(rule.AllowedMethods, ", "))
	if len(rule.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(rule.ExposeHeaders, ", "))
	}
	if rule.MaxAgeSeconds != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(*rule.MaxAgeSeconds))
	}
	if origin != "*" {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}
