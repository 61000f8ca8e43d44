package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
)

// A session token, in base64:
//
//	+---------+-----------+--------------------------------+
//	| 1       | nonce, 12 | AES-256-GCM of what it holds   |
//	+---------+-----------+--------------------------------+
//
// It is bound to the access key id of its session. One key seals tokens with random
// nonces: good for 2^32 of them, after which the keyring is to be rotated.
const sessionVersion = 1

// maxTokenText bounds what is decoded at all.
const maxTokenText = 16 << 10

func sessionData(accessKey string) []byte { return []byte("ironman/session/1\x00" + accessKey) }

// sealSession encrypts what a session token holds.
func (k *keyring) sealSession(accessKey string, plain []byte) string {
	n := k.seal.NonceSize()
	b := make([]byte, 1+n, 1+n+len(plain)+k.seal.Overhead())
	b[0] = sessionVersion
	rand.Read(b[1:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(k.seal.Seal(b, b[1:1+n], plain, sessionData(accessKey)))
}

var errToken = errors.New("server: a session token does not open under this keyring")

// openSession is the inverse of sealSession.
func (k *keyring) openSession(accessKey, token string) ([]byte, error) {
	if len(token) > maxTokenText {
		return nil, errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	n := k.seal.NonceSize()
	if err != nil || len(b) < 1+n || b[0] != sessionVersion {
		return nil, errToken
	}
	plain, err := k.seal.Open(nil, b[1:1+n], b[1+n:], sessionData(accessKey))
	if err != nil {
		return nil, errToken
	}
	return plain, nil
}
