package sse

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

// KeyBytes is the length of every key.
const KeyBytes = 32

// Key is a data key, a client's key, or a secret that others are derived from. It
// prints as "[redacted]" in every way; the zero Key is none.
type Key struct{ sig.Secret }

// NewKey makes a Key of a copy of b, which must have KeyBytes.
func NewKey(b []byte) (Key, error) {
	if len(b) != KeyBytes {
		return Key{}, fmt.Errorf("sse: a key of %d bytes, not of %d", len(b), KeyBytes)
	}
	return Key{sig.NewSecret(b)}, nil
}

// RandomKey draws a key.
func RandomKey() Key {
	var b [KeyBytes]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	k := Key{sig.NewSecret(b[:])}
	clear(b[:])
	return k
}

// Wipe overwrites the key. It must not be used any more.
func (k Key) Wipe() { clear(k.Reveal()) }

// derive makes a key of this one, for one purpose.
func (k Key) derive(salt []byte, info string) Key {
	b, err := hkdf.Key(digest.NewSHA256, k.Reveal(), salt, info, KeyBytes)
	if err != nil {
		panic(err) // only for lengths that no caller asks for
	}
	d := Key{sig.NewSecret(b)}
	clear(b)
	return d
}

// Tag names text by 32 hexadecimal digits, the same ones for the same text, which tell
// nothing of it to whoever lacks the key.
func (k Key) Tag(text string) string {
	b, err := hkdf.Expand(digest.NewSHA256, k.derive(nil, "entity tag").Reveal(), text, 16)
	if err != nil {
		panic(err) // only for lengths that no caller asks for
	}
	return hex.EncodeToString(b)
}

// aead is AES-256-GCM under the key.
func (k Key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.Reveal())
	if err != nil {
		panic("sse: the zero Key was used") // every other one has KeyBytes
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // not with this block size
	}
	return a
}
