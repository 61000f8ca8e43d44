package s3api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/iam"
	"ironman/s3api/policy"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// maxFormBytes is the longest form of a call of IAM or STS.
const maxFormBytes = 256 << 10

// vaultCall is a request to IAM or STS: a form that is posted to the endpoint itself.
type vaultCall struct {
	service  string // as the action has it; iam until that is known
	unsigned bool   // whoever calls may be nobody: the call itself says otherwise
}

// isVaultCall tells the calls of IAM and STS from what is S3's: the service has no
// operation of S3 that is posted.
func (s *Server) isVaultCall(r *http.Request) bool {
	if r.Method != http.MethodPost || r.URL.Path != "/" && r.URL.Path != "" {
		return false
	}
	if _, virtual := hostBucket(r.Host, s.Domains); virtual {
		return false
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// serveVault takes a call of IAM or STS through the steps of every request.
func (s *Server) serveVault(ctx context.Context, r *Request) (*Response, error) {
	r.vault = &vaultCall{service: iam.ServiceIAM}
	body, err := io.ReadAll(io.LimitReader(r.HTTP.Body, maxFormBytes+1))
	if err != nil {
		return nil, err
	}
	r.received = int64(len(body))
	if len(body) > maxFormBytes {
		return nil, iam.Refuse("RequestEntityTooLarge", "A request may have at most %d bytes.", maxFormBytes)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, iam.Refuse("MalformedQueryString", "The form cannot be read.")
	}
	name, service, unsigned, err := iam.Operation(form)
	if err != nil {
		return nil, err
	}
	r.vault.unsigned = unsigned
	r.vault.service = service
	r.op = &operation{name: name}
	if values, ok := r.HTTP.Header[asOfHeader]; ok {
		return nil, noMoment(values, name)
	}
	document, err := s.callVault(ctx, r, form, body, r.ID)
	for try := 1; try < vaultTries && iam.Overtaken(err); try++ {
		document, err = s.callVault(ctx, r, form, body, newRequestID()) // the first one's answer is remembered
	}
	if err != nil {
		return nil, err
	}
	return &Response{
		Header: http.Header{"Content-Type": {"text/xml"}}, Body: xmlBody{bytes.NewReader(document)}, Length: int64(len(document)),
	}, nil
}

// vaultTries is how often a call is served that others overtake. Each time one of them
// gets through.
const vaultTries = 8

// callVault serves a call at a new view: who asks, and whether it may, is found anew, too.
func (s *Server) callVault(ctx context.Context, r *Request, form url.Values, body []byte, id [event.RequestIDBytes]byte) ([]byte, error) {
	r.closeView()
	err := r.openView(ctx)
	if err != nil {
		return nil, err
	}
	r.identity, err = s.verifier.VerifyService(context.WithValue(ctx, requestKey{}, r), r.HTTP, digest.SHA256(body), iam.ServiceIAM, iam.ServiceSTS)
	if err != nil {
		return nil, err
	}
	if (r.identity.AccessKey == "" || r.who == nil) && !r.vault.unsigned {
		return nil, iam.Refuse("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	if r.vault.unsigned { // what such a call may does not depend on who signed it
		r.identity, r.who, r.account = &sig.Identity{}, nil, nil
	}
	r.principal = r.principalOf()
	if err := r.atLeast(); err != nil {
		return nil, err
	}
	return s.vault.Serve(ctx, &iam.Request{
		Form: form, Service: r.identity.Scope.Service, RequestID: r.RequestID(), View: r.view, Caller: r.who,
		Context: policy.NewContext(r.vaultFacts()),
		Propose: func(ctx context.Context, reason *event.Reason, d *event.Draft) (*event.Outcome, error) {
			r.reason = reason
			return s.agree(ctx, r, d, id)
		},
		Pause: func(ctx context.Context, long func()) (*fsm.View, error) {
			r.closeView()
			long()
			err := r.openView(ctx)
			return r.view, err
		},
	})
}

// vaultFacts are what conditions on a call can ask for, besides what is the call's own.
func (r *Request) vaultFacts() *policy.Facts {
	f := &policy.Facts{
		Now: r.server.Now(), Region: r.server.Region, Secure: r.HTTP.TLS != nil,
		Header: http.Header{"User-Agent": r.HTTP.Header.Values("User-Agent"), "Referer": r.HTTP.Header.Values("Referer")},
	}
	if peer, err := netip.ParseAddrPort(r.HTTP.RemoteAddr); err == nil {
		f.Peer = peer.Addr()
	}
	r.callerFacts(f)
	return f
}

// principalOf is who asks, as decisions and events have it.
func (r *Request) principalOf() access.Principal {
	p := access.Principal{CanonicalID: r.account.GetCanonicalId(), Root: r.account.GetRoot()}
	switch c := r.who; {
	case c == nil: // a call that came unsigned
	case c.Role != nil:
		p.User = c.ID()
	case c.User != nil:
		p.User = c.User.Principal
	}
	return p
}

// xmlBody is a document as the body of an answer.
type xmlBody struct{ *bytes.Reader }

// Close does nothing: the bytes are in memory.
func (xmlBody) Close() error { return nil }

// refuseVault writes an error as IAM and STS would.
func (s *Server) refuseVault(out *answer, r *Request, err error) {
	e := vaultError(err)
	s.countRefusal(e.Code)
	if e.Status >= 500 {
		s.Logger.Error("request failed", "request", r.RequestID(), "operation", r.Operation(), "code", e.Code, "err", err)
	}
	h := out.w.Header()
	r.incoming.settle(h)
	b := iam.ErrorDocument(e, r.vault.service, r.RequestID())
	h.Set("Content-Type", "text/xml")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	out.begin(e.Status)
	out.write(b)
}

// vaultError is any error as a client of IAM or STS sees it. Their codes for faults of
// credentials differ from S3's.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func vaultError(err error) *iam.Error {
	var own *iam.Error
	if errors.As(err, &own) {
		return own
	}
	e := clientError(err)
	code, message := e.Code, e.Message
	switch code {
	case sig.CodeInvalidAccessKeyID, sig.CodeInvalidToken:
		code, message = "InvalidClientTokenId", "The security token included in the request is invalid."
	case sig.CodeExpiredToken:
		message = "The security token included in the request is expired"
	case sig.CodeRequestTimeTooSkewed, sig.CodeXAmzContentSHA256Mismatch:
		code = sig.CodeSignatureDoesNotMatch
	case sig.CodeAuthorizationHeaderMalformed:
		code = "IncompleteSignature"
	case "InvalidArgument":
		code = "ValidationError"
	case "ServiceUnavailable", sig.CodeAccessDenied, sig.CodeSignatureDoesNotMatch:
	case "InsufficientStorage":
		code = "ServiceUnavailable"
	case "SlowDown":
		code, message = "Throttling", "Rate exceeded"
	default:
		if e.Status >= http.StatusInternalServerError {
			code, message = "InternalFailure", s3err.New("InternalError").Message
		}
	}
	return iam.Refuse(code, "%s", message)
}
