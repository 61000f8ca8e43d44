package s3api

import (
	"time"

	"ironman/s3api/access"
	"ironman/s3api/iam"
	"ironman/s3api/policy"
	"ironman/s3api/sig"
)

// secret finds the secret of an access key that may be used at the request's view, and
// who has it: a key that lasts, or with a token one of a session.
func (s *Server) secret(r *Request, accessKey, token string) (sig.Secret, bool, error) {
	r.token = token
	if token != "" {
		return s.sessionSecret(r, accessKey, token)
	}
	k, err := r.view.AccessKey(accessKey)
	if err != nil || k == nil || !k.Active {
		return sig.Secret{}, false, err
	}
	r.who, err = iam.KeyCaller(r.view, k)
	if err != nil || r.who == nil {
		return sig.Secret{}, false, err
	}
	r.account = r.who.Account
	secret, err := s.Secrets.Open(accessKey, k.SealedSecret)
	return secret, err == nil, err
}

// sessionSecret opens a session's token, which holds everything. A token that was not
// issued for the key, or not here, or was altered, does not open. Of a session whose
// role or key is gone the key counts as unknown.
func (s *Server) sessionSecret(r *Request, accessKey, token string) (sig.Secret, bool, error) {
	invalid := &sig.Error{Code: sig.CodeInvalidToken, Message: "The provided token is malformed or otherwise invalid."}
	plain, err := s.Secrets.OpenSession(accessKey, token)
	if err != nil {
		return sig.Secret{}, false, invalid
	}
	t, err := iam.ParseSession(plain)
	clear(plain)
	if err != nil {
		return sig.Secret{}, false, invalid
	}
	if t.Expired(s.Now()) {
		return sig.Secret{}, false, &sig.Error{Code: sig.CodeExpiredToken, Message: "The provided token has expired."}
	}
	r.who, err = t.Caller(r.view, accessKey)
	if err != nil || r.who == nil {
		return sig.Secret{}, false, err
	}
	r.account = r.who.Account
	return t.Secret(), true, nil
}

// identityOpinions asks the caller's own policies, what bounds it, and those that its
// session was begun with. facts are gathered only if there is something to ask.
func (s *Server) identityOpinions(r *Request, a *access.Request, resource string, facts func() (*policy.Facts, error)) error {
	authority, err := s.callerAuthority(r)
	if err != nil || authority == nil {
		return err
	}
	f, err := facts()
	if err != nil {
		return err
	}
	a.Identity, a.Boundary, a.Session = authority.Judge(&policy.Request{
		Caller: f.Caller, Action: a.Action, Resource: resource, Context: policy.NewContext(f),
	})
	return nil
}

// callerAuthority is what the caller's policies say, read once in a request; nil for
// who needs none.
func (s *Server) callerAuthority(r *Request) (*iam.Authority, error) {
	if r.who == nil || r.authorityRead {
		return r.authority, nil
	}
	var err error
	r.authority, err = s.vault.Authority(r.view, r.who)
	r.authorityRead = err == nil
	return r.authority, err
}

// callerFacts are what conditions can ask of the caller.
func (r *Request) callerFacts(f *policy.Facts) {
	c := r.who
	if c == nil {
		f.UserID, f.PrincipalType = "anonymous", "Anonymous"
		return
	}
	f.Caller, f.UserID, f.PrincipalType, f.PrincipalTags = c.Policy(), c.ID(), c.Type(), c.Tags()
	if c.User != nil {
		f.UserName = c.User.Name
	}
	if c.Session != nil {
		f.TokenIssued = time.Unix(c.Session.Issued, 0)
		f.Claims = c.Session.Web.Claims()
	}
}
