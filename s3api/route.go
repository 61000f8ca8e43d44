package s3api

import (
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/julienschmidt/httprouter"

	"ironman/s3api/s3err"
)

// router finds an operation's candidates by method and path. Paths are opaque:
// httprouter's redirects and corrections are off, and it sees the decoded path.
type router struct {
	*httprouter.Router
	byTarget map[string]map[target][]*operation // method -> target -> rows in table order
	// subresources of each target: query keys that select an operation.
	subresources map[target][]string
}

// match is what a path and method lead to.
type match struct {
	method      string
	rows        []*operation
	on          target
	bucket, key string
	// subresources are the query keys of all operations on the target, served or not.
	subresources []string
}

func newRouter(table []operation) *router {
	r := &router{Router: httprouter.New(), byTarget: make(map[string]map[target][]*operation), subresources: make(map[target][]string)}
	for _, on := range []target{onBucket, onObject} {
		r.subresources[on] = notImplemented(on)
	}
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false
	r.HandleMethodNotAllowed, r.HandleOPTIONS = false, false
	for i := range table {
		op := &table[i]
		if op.action == "" && op.needs != needNobody || op.handle == nil {
			panic("s3api: operation " + op.name + " has no action or no handler")
		}
		m := r.byTarget[op.method]
		if m == nil {
			m = make(map[target][]*operation)
			r.byTarget[op.method] = m
			for _, path := range []string{"/", "/:bucket", "/:bucket/*key"} {
				r.Handle(op.method, path, func(http.ResponseWriter, *http.Request, httprouter.Params) {})
			}
		}
		m[op.on] = append(m[op.on], op)
		if op.query != "" && !slices.Contains(r.subresources[op.on], op.query) {
			r.subresources[op.on] = append(r.subresources[op.on], op.query)
		}
	}
	return r
}

// named finds an operation on objects by its name, which must be one.
func (r *router) named(name string) *operation {
	for _, m := range r.byTarget {
		for _, op := range m[onObject] {
			if op.name == name {
				return op
			}
		}
	}
	panic("s3api: there is no operation " + name)
}

// find reads bucket and key out of a request's path, or its host.
func (r *router) find(req *http.Request, domains []string) (match, error) {
	path := req.URL.Path
	if path == "" {
		path = "/" // http://host, the absolute form
	}
	if !strings.HasPrefix(path, "/") {
		return match{}, s3err.New("InvalidURI")
	}
	if b, ok := hostBucket(req.Host, domains); ok {
		path = "/" + b + path
	}
	handle, params, _ := r.Lookup(req.Method, path)
	if handle == nil {
		return match{}, s3err.New("MethodNotAllowed")
	}
	m := match{method: req.Method, bucket: params.ByName("bucket"), key: strings.TrimPrefix(params.ByName("key"), "/")}
	switch {
	case m.key != "":
		m.on = onObject
	case m.bucket != "":
		m.on = onBucket
	}
	m.rows, m.subresources = r.byTarget[req.Method][m.on], r.subresources[m.on]
	return m, nil
}

// choose takes the operation whose query key and header the request has.
func (m *match) choose(q url.Values, h http.Header) (*operation, error) {
	for _, op := range m.rows {
		if (op.query == "" || q.Has(op.query)) && (op.header == "" || h.Get(op.header) != "" || hasParameter(q, op.header)) {
			if op.query == "" && op.needs != needNobody { // a preflight is for any sub-resource
				if err := m.refuseUnserved(q); err != nil {
					return nil, err
				}
			}
			return op, nil
		}
	}
	if err := m.refuseUnserved(q); err != nil {
		return nil, err
	}
	return nil, s3err.New("MethodNotAllowed")
}

// hasParameter tells whether a query names a header, as one that is presigned may.
// Whether it does stand for the header is known only with the signature; but a copy
// that turns out to have no source must not become a PUT of nothing.
func hasParameter(q url.Values, header string) bool {
	for name := range q {
		if strings.EqualFold(name, header) {
			return true
		}
	}
	return false
}

// refuseUnserved refuses a sub-resource that is not served at all, or not for the
// request's method: PUT ?versioning is not CreateBucket. Nor is DELETE with one that
// this release has not heard of DeleteBucket: where something would be changed, a key
// without a value is taken for a sub-resource.
func (m *match) refuseUnserved(q url.Values) error {
	for _, k := range m.subresources {
		if q.Has(k) {
			return unserved(k)
		}
	}
	if m.method == http.MethodGet || m.method == http.MethodHead {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(q)) {
		if strings.Join(q[k], "") == "" && !isParameter(k) {
			return unserved(k)
		}
	}
	return nil
}

func unserved(subresource string) error {
	return s3err.Newf("NotImplemented", "The sub-resource %q is not implemented for this method.", subresource)
}

// isParameter tells the keys of a query that are no sub-resources though they may be
// empty: those that stand for headers, those that qualify another, and, as with
// Amazon, everybody's own that begin with x-.
func isParameter(key string) bool {
	switch key {
	case "content-md5", "content-type", "partNumber", "uploadId", "versionId":
		return true
	}
	return len(key) > 1 && (key[0] == 'x' || key[0] == 'X') && key[1] == '-'
}

// hostBucket reads the bucket of a virtual-hosted request. Of domains that lie in each
// other the longest counts, and one of them by itself names no bucket in another.
func hostBucket(host string, domains []string) (bucket string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	longest := ""
	for _, d := range domains {
		d = strings.ToLower(d)
		if host == d {
			return "", false
		}
		if b, ok := strings.CutSuffix(host, "."+d); ok && b != "" && len(d) > len(longest) {
			bucket, longest = b, d
		}
	}
	return bucket, longest != ""
}
