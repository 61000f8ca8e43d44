package s3api

import (
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
		if op.action == "" || op.handle == nil {
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

// find reads bucket and key out of a request's path, or its host.
func (r *router) find(req *http.Request, domains []string) (match, error) {
	path := req.URL.Path
	if b, ok := hostBucket(req.Host, domains); ok {
		path = "/" + b + path
	}
	if !strings.HasPrefix(path, "/") {
		return match{}, s3err.New("InvalidURI")
	}
	handle, params, _ := r.Lookup(req.Method, path)
	if handle == nil {
		return match{}, s3err.New("MethodNotAllowed")
	}
	m := match{bucket: params.ByName("bucket"), key: strings.TrimPrefix(params.ByName("key"), "/")}
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
		if (op.query == "" || q.Has(op.query)) && (op.header == "" || h.Get(op.header) != "") {
			if op.query == "" {
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

// refuseUnserved refuses a sub-resource that is not served at all, or not for the
// request's method: PUT ?versioning is not CreateBucket.
func (m *match) refuseUnserved(q url.Values) error {
	for _, k := range m.subresources {
		if q.Has(k) {
			return s3err.Newf("NotImplemented", "The sub-resource %q is not implemented for this method.", k)
		}
	}
	return nil
}

// hostBucket reads the bucket of a virtual-hosted request.
func hostBucket(host string, domains []string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	for _, d := range domains {
		if b, ok := strings.CutSuffix(host, "."+d); ok && b != "" {
			return b, true
		}
	}
	return "", false
}
