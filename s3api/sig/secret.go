package sig

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is the secret of an access key. Every way of printing it prints
// "[redacted]"; == does not compile, Equal takes constant time. The zero Secret is
// empty. Safe for concurrent use.
type Secret struct {
	// A function, because fmt prints its address and nothing else even where it meets
	// a Secret in an unexported field and cannot call its methods; it would follow a
	// pointer for some verbs.
	reveal func() []byte
}

// NewSecret makes a Secret of a copy of b.
func NewSecret[T string | []byte](b T) Secret {
	v := bytes.Clone([]byte(b))
	return Secret{reveal: func() []byte { return v }}
}

// Reveal returns the bytes themselves, for signing and sealing. They must not be
// changed, printed or kept.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare(s.Reveal(), o.Reveal()) == 1
}

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]" (XML and others).
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Credential is what a client signs with.
type Credential struct {
	AccessKey string
	Secret    Secret
	// Session is the session token of a temporary credential; empty for others.
	Session Secret
}
