package server

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// identity is who this node is: its number, its own key, and how often it has
// started. The key is pinned by the node's first event; the boot counter rises
// durably before every start, so that a clone or an old backup is refused.
type identity struct {
	Format int    `json:"format"`
	Node   uint32 `json:"node"`
	Boot   uint64 `json:"boot"`
	Key    string `json:"key"` // base64, Ed25519 seed

	key ed25519.PrivateKey
}

const identityFormat = 1

// openIdentity reads and advances the node's identity, or makes it.
func openIdentity(fs vfs.FS, path string, checkMode bool) (*identity, error) {
	id := &identity{}
	b, err := readSecret(fs, path, checkMode)
	switch {
	case errors.Is(err, errNoFile):
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed) // never fails (crypto/rand)
		id = &identity{Format: identityFormat, Node: 1, Key: base64.StdEncoding.EncodeToString(seed)}
	case err != nil:
		return nil, fmt.Errorf("server: identity: %w", err)
	default:
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if err := d.Decode(id); err != nil || id.Format != identityFormat || id.Node == 0 {
			return nil, fmt.Errorf("server: identity %s: not one that this release understands", path)
		}
	}
	seed, err := base64.StdEncoding.DecodeString(id.Key)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("server: identity %s: the key is damaged", path)
	}
	id.key = ed25519.NewKeyFromSeed(seed)
	id.Boot++
	if b, err = json.MarshalIndent(id, "", "  "); err != nil {
		return nil, err
	}
	if err := writeDurably(fs, path, b); err != nil {
		return nil, fmt.Errorf("server: identity: %w", err)
	}
	return id, nil
}

// publicKey is the node's key in PKIX form.
func (id *identity) publicKey() ([]byte, error) {
	return x509.MarshalPKIXPublicKey(id.key.Public())
}
