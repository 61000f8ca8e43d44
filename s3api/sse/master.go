package sse

import (
	"encoding/hex"
	"errors"

	"ironman/wal/event"
)

// Masters are the secrets from which wrapping secrets are derived. The newest wraps,
// all unwrap. Safe for concurrent use.
type Masters struct{ list []master }

type master struct {
	id     masterID // names it and tells nothing of it
	secret Key
}

// NewMasters takes master secrets, the newest last.
func NewMasters(secrets ...Key) (*Masters, error) {
	if len(secrets) == 0 {
		return nil, errors.New("sse: no master secret")
	}
	m := &Masters{}
	for _, s := range secrets {
		name := s.derive(nil, "ironman/sse/master/1")
		m.list = append(m.list, master{masterID(name.Reveal()[:masterIDBytes]), s})
	}
	return m, nil
}

// IDs name the master secrets, the newest last. They are not secret.
func (m *Masters) IDs() []string {
	out := make([]string, len(m.list))
	for i := range m.list {
		out[i] = hex.EncodeToString(m.list[i].id[:])
	}
	return out
}

// S3 is the wrapping of SSE-S3.
func (m *Masters) S3() Wrapping {
	return &derived{m, scope{kind: event.EncryptionKind_ENCRYPTION_KIND_S3}, "ironman/sse/s3/1"}
}

// KMS is the wrapping of a named key under an encryption context.
func (m *Masters) KMS(keyID, context string) Wrapping {
	return &derived{m, scope{event.EncryptionKind_ENCRYPTION_KIND_KMS, keyID, context}, "ironman/sse/kms/1\x00" + keyID}
}

// derived is a wrapping under secrets that are derived from the masters.
type derived struct {
	masters *Masters
	scope   scope
	info    string
}

// Wrap implements Wrapping.
func (d *derived) Wrap(data Key, blob *event.BlobID) *event.WrappedKey {
	newest := &d.masters.list[len(d.masters.list)-1]
	secret := newest.secret.derive(nil, d.info)
	defer secret.Wipe()
	return d.scope.wrap(secret, newest.id, data, blob)
}

// Unwrap implements Wrapping.
func (d *derived) Unwrap(w *event.WrappedKey) (Key, error) {
	id, err := masterOf(w)
	if err != nil {
		return Key{}, err
	}
	for i := range d.masters.list {
		if m := &d.masters.list[i]; m.id == id {
			secret := m.secret.derive(nil, d.info)
			defer secret.Wipe()
			return d.scope.unwrap(secret, w)
		}
	}
	return Key{}, ErrNoMaster
}
