package sse

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"ironman/wal/event"
)

// The format of a wrapped key; doc.go draws it.
const (
	wrapVersion   = 1
	masterIDBytes = 8
	saltBytes     = 32
	wrapHeader    = 1 + masterIDBytes
	wrappedBytes  = wrapHeader + KeyBytes + event.SealedTagBytes
)

// Errors of wrapped keys.
var (
	// ErrNotWrapped says that bytes are no key wrapped under this secret, for this blob,
	// kind, key id and context.
	ErrNotWrapped = errors.New("sse: a wrapped key does not open")
	// ErrNewer says that a newer release wrapped a key.
	ErrNewer = errors.New("sse: a key is wrapped in a way that is newer than this release")
	// ErrNoMaster says that the keyring lacks the secret that a key was wrapped under.
	ErrNoMaster = errors.New("sse: the keyring of this node does not hold the master secret that a key was wrapped under")
	// ErrWrongKey says that a client's key is not the one that was used.
	ErrWrongKey = errors.New("sse: the key is not the one that the bytes were sealed for")
)

// Wrapping wraps data keys for one kind, key id and context. Safe for concurrent use.
type Wrapping interface {
	// Wrap seals the data key of a blob.
	Wrap(data Key, blob *event.BlobID) *event.WrappedKey
	// Unwrap is its inverse: ErrNotWrapped, ErrNewer or ErrNoMaster.
	Unwrap(w *event.WrappedKey) (Key, error)
}

type masterID [masterIDBytes]byte

// scope is what a wrapped key is for, beside the blob.
type scope struct {
	kind           event.EncryptionKind
	keyID, context string
}

// info binds a wrapping to its scope and blob: no two of them give the same bytes.
func (s scope) info(blob *event.BlobID) string {
	id := blob.Key()
	b := append([]byte("ironman/sse/wrap/1\x00"), byte(s.kind))
	b = append(b, id[:]...)
	b = append(binary.AppendUvarint(b, uint64(len(s.keyID))), s.keyID...)
	b = append(binary.AppendUvarint(b, uint64(len(s.context))), s.context...)
	return string(b)
}

// wrap seals a data key under a key that is derived for it alone.
func (s scope) wrap(secret Key, id masterID, data Key, blob *event.BlobID) *event.WrappedKey {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails (crypto/rand)
	return s.wrapWith(secret, id, data, blob, salt)
}

func (s scope) wrapWith(secret Key, id masterID, data Key, blob *event.BlobID, salt []byte) *event.WrappedKey {
	header := append([]byte{wrapVersion}, id[:]...)
	once := secret.derive(salt, s.info(blob))
	defer once.Wipe()
	var zero [nonceBytes]byte
	return &event.WrappedKey{Blob: blob, Nonce: salt, Wrapped: once.aead().Seal(bytes.Clone(header), zero[:], data.Reveal(), header)}
}

// unwrap is the inverse of wrap.
func (s scope) unwrap(secret Key, w *event.WrappedKey) (Key, error) {
	if len(w.GetWrapped()) != wrappedBytes || len(w.GetNonce()) != saltBytes {
		return Key{}, ErrNotWrapped
	}
	once := secret.derive(w.Nonce, s.info(w.Blob))
	defer once.Wipe()
	var zero [nonceBytes]byte
	b, err := once.aead().Open(nil, zero[:], w.Wrapped[wrapHeader:], w.Wrapped[:wrapHeader])
	if err != nil {
		return Key{}, ErrNotWrapped
	}
	data, err := NewKey(b)
	clear(b)
	return data, err
}

// masterOf reads which master secret a key was wrapped under.
func masterOf(w *event.WrappedKey) (id masterID, err error) {
	b := w.GetWrapped()
	switch {
	case len(b) > 0 && b[0] > wrapVersion:
		return id, ErrNewer
	case len(b) != wrappedBytes || b[0] != wrapVersion:
		return id, ErrNotWrapped
	}
	return masterID(b[1:wrapHeader]), nil
}

// MasterOf names the master secret that a key was wrapped under, as IDs does; empty: it was
// wrapped under a client's key. ErrNotWrapped or ErrNewer.
func MasterOf(w *event.WrappedKey) (string, error) {
	id, err := masterOf(w)
	if err != nil || id == (masterID{}) {
		return "", err
	}
	return hex.EncodeToString(id[:]), nil
}

// The format of what recognises a client's key; doc.go draws it.
const (
	checkVersion   = 1
	checkSaltBytes = 16
	checkBytes     = 1 + checkSaltBytes + KeyBytes
)

// Customer wraps data keys under a client's key (SSE-C).
type Customer struct {
	secret Key
	check  []byte
}

var _ Wrapping = (*Customer)(nil)

// NewCustomer makes the wrapping of a client's key, with a fresh salt.
func NewCustomer(key Key) *Customer {
	salt := make([]byte, checkSaltBytes)
	rand.Read(salt) // never fails (crypto/rand)
	return newCustomer(key, salt)
}

func newCustomer(key Key, salt []byte) *Customer {
	tag := key.derive(salt, "ironman/sse/check/1")
	check := append(append([]byte{checkVersion}, salt...), tag.Reveal()...)
	return &Customer{secret: key.derive(salt, "ironman/sse/customer/1"), check: check}
}

// OpenCustomer makes the wrapping that has this check, if the key is the same:
// ErrWrongKey or ErrNewer.
func OpenCustomer(key Key, check []byte) (*Customer, error) {
	switch {
	case len(check) > 0 && check[0] > checkVersion:
		return nil, ErrNewer
	case len(check) != checkBytes:
		return nil, ErrWrongKey
	}
	c := newCustomer(key, check[1:1+checkSaltBytes])
	if subtle.ConstantTimeCompare(c.check, check) != 1 {
		c.secret.Wipe()
		return nil, ErrWrongKey
	}
	return c, nil
}

// Check recognises the client's key, and tells nothing else of it.
func (c *Customer) Check() []byte { return bytes.Clone(c.check) }

var customerScope = scope{kind: event.EncryptionKind_ENCRYPTION_KIND_CUSTOMER}

// Wrap implements Wrapping.
func (c *Customer) Wrap(data Key, blob *event.BlobID) *event.WrappedKey {
	return customerScope.wrap(c.secret, masterID{}, data, blob)
}

// Unwrap implements Wrapping.
func (c *Customer) Unwrap(w *event.WrappedKey) (Key, error) {
	if id, err := masterOf(w); err != nil || id != (masterID{}) {
		return Key{}, errors.Join(ErrNotWrapped, err)
	}
	return customerScope.unwrap(c.secret, w)
}
