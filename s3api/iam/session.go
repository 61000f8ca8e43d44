package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// SessionKind says how a session was begun.
type SessionKind uint8

// Of an account or user by GetSessionToken, of a role, and by GetFederationToken.
const (
	KeySession SessionKind = iota + 1
	RoleSession
	FederatedSession
)

// SessionTag is a tag that a session was begun with.
type SessionTag struct{ Key, Value string }

// Session is what a session token holds. Nothing of it is stored: whoever has the
// token and its secret is the session, as long as who began it is still there.
type Session struct {
	Kind    SessionKind
	Account string // 12 digits
	// Principal is the id of the role, or of the user whose key began it; empty: the
	// account's own key did.
	Principal string `json:",omitempty"`
	// Key is the access key that began it; empty for a role's. When that key goes or
	// is disabled, so does the session.
	Key     string `json:",omitempty"`
	Name    string `json:",omitempty"` // of a role's session or federated user
	Issued  int64  // Unix seconds
	Expires int64
	// Policy and Policies (ids of managed ones) narrow what it may do.
	Policy   string       `json:",omitempty"`
	Policies []string     `json:",omitempty"`
	Tags     []SessionTag `json:",omitempty"`
	// Web is what the token of a web identity said; nil: it is none's.
	Web *WebIdentity `json:",omitempty"`

	secret sig.Secret
}

// sealedSession is the plain text of a token. Only its ciphertext leaves the node.
type sealedSession struct {
	Session
	Secret []byte
}

// Secret is what the session signs with.
func (t *Session) Secret() sig.Secret { return t.secret }

// marshal gives what is to be sealed.
func (t *Session) marshal() ([]byte, error) {
	return json.Marshal(sealedSession{Session: *t, Secret: t.secret.Reveal()})
}

// maxToken bounds the plain text of a token.
const maxToken = 8 << 10

// ParseSession reads what was sealed.
func ParseSession(b []byte) (*Session, error) {
	if len(b) > maxToken {
		return nil, errors.New("iam: a session token is too long")
	}
	var s sealedSession
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, errors.New("iam: a session token cannot be read") // not %w: the decoder quotes
	}
	if s.Kind < KeySession || s.Kind > FederatedSession || len(s.Secret) == 0 {
		return nil, errors.New("iam: a session token holds no session")
	}
	t := s.Session
	t.secret = sig.NewSecret(s.Secret)
	clear(s.Secret)
	return &t, nil
}

// Expired reports whether the session is over.
func (t *Session) Expired(now time.Time) bool { return now.Unix() >= t.Expires }

// Caller finds who has a session now; nil: who began it is gone, and so is the session.
func (t *Session) Caller(v *fsm.View, accessKey string) (*Caller, error) {
	c := &Caller{AccessKey: accessKey, Session: t}
	var err error
	if c.Account, err = v.AccountByID(t.Account); err != nil || c.Account == nil {
		return nil, err
	}
	if t.Kind != RoleSession {
		k, err := v.AccessKey(t.Key)
		if err != nil || k == nil || !k.Active || k.Account != t.Account || k.User != t.Principal {
			return nil, err
		}
	}
	if t.Principal == "" {
		return c, nil
	}
	x, err := v.Principal(t.Principal)
	if err != nil || x == nil || x.Account != t.Account {
		return nil, err
	}
	switch x.Kind {
	case event.PrincipalKind_PRINCIPAL_KIND_ROLE:
		c.Role = x
	case event.PrincipalKind_PRINCIPAL_KIND_USER:
		c.User = x
	}
	if (c.Role != nil) != (t.Kind == RoleSession) {
		return nil, fmt.Errorf("iam: a session of kind %d is of a %s", t.Kind, noun(x.Kind))
	}
	return c, nil
}

// KeyCaller finds who has an access key that lasts; nil: the user is gone.
func KeyCaller(v *fsm.View, k *fsm.AccessKey) (*Caller, error) {
	c := &Caller{AccessKey: k.AccessKey}
	var err error
	if c.Account, err = v.AccountByID(k.Account); err != nil || c.Account == nil {
		return nil, err
	}
	if k.User != "" {
		if c.User, err = v.Principal(k.User); err != nil || c.User == nil {
			return nil, err
		}
	}
	return c, nil
}
