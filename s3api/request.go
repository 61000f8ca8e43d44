package s3api

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/form"
	"ironman/s3api/iam"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// Request is the one parsed form of a request: what is authenticated is what is
// authorised, stored and audited.
type Request struct {
	HTTP *http.Request
	ID   [event.RequestIDBytes]byte
	// eventID is the id under which its next event is proposed: ID, until it loses a race.
	eventID     [event.RequestIDBytes]byte
	Bucket, Key string
	Query       url.Values
	// Header holds the request's headers and, behind a presigned query, the
	// parameters that stand for headers. A header goes before its parameter; the
	// signature covers both. Digests and lengths of the body are read from HTTP's own
	// headers: a signer does not know the body.
	Header http.Header

	op        *operation
	identity  *sig.Identity
	token     string // of the session that signed; "": none did
	principal access.Principal
	account   *fsm.Account // nil: anonymous
	who       *iam.Caller  // nil: anonymous
	// authority is what the caller's policies say, once it is read; nil: it needs none.
	authority     *iam.Authority
	authorityRead bool
	vault         *vaultCall // nil: a request to S3
	names         map[string]string
	reason        *event.Reason
	charged       bool // the requester pays, and has said so

	log   accessRecord
	reads *readNotes // nil: reads are not recorded; a transaction and its operations share it

	view      *fsm.View
	cluster   *fsm.Cluster
	bucket    *fsm.Bucket
	asOf      *moment // as of when it reads; nil: the present
	past      *past   // what it reads then; view and bucket are the present
	object    *fsm.Object
	viewedSeq uint64
	ahead     ahead
	source    *copySource            // of a copy or rename, once it may be read
	why       *event.Reason          // of the decision on the source that was looked for last
	rulesOf   map[uint64]bucketRules // by bucket, of those that have any

	form           *form.Form // of PostObject, else nil
	incoming       *incoming
	server         *Server
	writer         http.ResponseWriter // for deadlines only: handlers answer with a Response
	responseHeader http.Header
	errorHeader    http.Header // sent with an error only
	received       int64       // bytes of body taken
}

// Operation is Amazon's name of what is asked for; "" before it is known.
func (r *Request) Operation() string {
	if r.op == nil {
		return ""
	}
	return r.op.name
}

// AccessKey is the id that signed; "" if anonymous or not yet known.
func (r *Request) AccessKey() string {
	if r.identity == nil {
		return ""
	}
	return r.identity.AccessKey
}

// resource is the path as errors name it.
func (r *Request) resource() string {
	switch {
	case r.Bucket == "":
		return "/"
	case r.Key == "":
		return "/" + r.shownName()
	}
	return "/" + r.shownName() + "/" + r.Key
}

// route settles bucket, key and operation.
func (s *Server) route(r *Request) error {
	m, err := s.router.find(r.HTTP, s.Domains)
	if err != nil {
		return err
	}
	r.Key = m.key
	if r.Bucket, r.asOf, err = cutMoment(m.bucket); err != nil {
		return err
	}
	if r.Query, err = url.ParseQuery(r.HTTP.URL.RawQuery); err != nil {
		return s3err.New("InvalidURI")
	}
	if r.op, err = m.choose(r.Query, r.HTTP.Header); err != nil {
		return err
	}
	if err := r.takeMoment(); err != nil {
		return err
	}
	return checkKey(r.Key)
}

// checkKey refuses a key that no object can have.
func checkKey(key string) error {
	if !utf8.ValidString(key) {
		return s3err.New("InvalidURI") // listings and deletions could not name it
	}
	if len(key) > maxKeyBytes {
		return s3err.New("KeyTooLongError").With("Size", itoa(len(key))).With("MaxSizeAllowed", itoa(maxKeyBytes))
	}
	return nil
}

// maxKeyBytes is the longest object key.
const maxKeyBytes = 1024

func (r *Request) openView(ctx context.Context) error {
	v, err := r.server.Views.View(ctx)
	if err != nil {
		return err
	}
	r.view = v
	r.viewedSeq = v.Applied().Next
	r.cluster, err = v.Cluster()
	return err
}

// closeView gives the view back before anything that takes long. Safe to repeat.
func (r *Request) closeView() {
	if r.view == nil {
		return
	}
	r.findLog()
	if err := r.view.Close(); err != nil {
		r.server.Logger.Error("closing a view", "request", r.RequestID(), "err", err)
	}
	r.view = nil
	if r.past != nil {
		r.past.view = nil
	}
}

// header is that of the event this request proposes; who proposes it sets the base.
func (r *Request) header(id [event.RequestIDBytes]byte) *event.Header {
	return &event.Header{
		FeatureLevel: r.cluster.GetFeatureLevel(), RequestId: id[:], Principal: r.principalID(),
		Reason: r.reason, Operation: r.op.name,
	}
}

// principalID is the opaque id of who asks; "" for anonymous.
func (r *Request) principalID() string {
	return r.principal.ID()
}

// client is where the request came from, as the audit keeps it.
func (r *Request) client() *event.Client {
	host, _, err := net.SplitHostPort(r.HTTP.RemoteAddr)
	if err != nil {
		host = r.HTTP.RemoteAddr
	}
	agent := r.HTTP.UserAgent()
	agent = strings.ToValidUTF8(agent[:min(len(agent), 256)], "?")
	return &event.Client{Address: host, UserAgent: agent, AccessKey: r.AccessKey()}
}
