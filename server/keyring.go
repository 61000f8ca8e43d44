package server

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/s3api/sig"
	"ironman/s3api/sse"
	"ironman/wal/digest"
)

// keyring holds the keys that are never in the log: the one that seals access
// keys' secrets, the one that signs the ledger, and those under which the keys of
// encrypted objects are wrapped. A backup of a node without its keyring is useless,
// and so is one that lost it: that is its purpose.
type keyring struct {
	seal    cipher.AEAD
	print   []byte             // fingerprint of the sealing key, public
	signer  ed25519.PrivateKey // of ledger checkpoints
	masters *sse.Masters       // of server-side encryption
	asked   []byte             // key of recognize
}

// keyringFile is the JSON of the keyring's file, mode 0600.
type keyringFile struct {
	Format  int    `json:"format"`
	Sealing string `json:"sealing_key"` // base64, 32 bytes, AES-256-GCM
	Ledger  string `json:"ledger_key"`  // base64, Ed25519 seed
	// Masters are the master secrets of server-side encryption, base64, 32 bytes each:
	// the last wraps, all unwrap. From format 2 on there is at least one.
	Masters []string `json:"sse_masters,omitempty"`
}

// Formats of the keyring's file. Format 1 has no masters.
const (
	keyringFormat1 = 1
	keyringFormat  = 2
)

// openKeyring reads the keyring or, where there is none and create is set, makes one.
func openKeyring(fs vfs.FS, path string, create, checkMode bool) (*keyring, error) {
	b, err := readSecret(fs, path, checkMode)
	if errors.Is(err, errNoFile) && create {
		if b, err = newKeyring(); err == nil {
			err = writeDurably(fs, path, b)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("server: keyring: %w", err)
	}
	k, err := parseKeyring(b)
	if err != nil {
		return nil, fmt.Errorf("server: keyring %s: %w", path, err)
	}
	return k, nil
}

func newKeyring() ([]byte, error) {
	var sealing, seed, master [32]byte
	rand.Read(sealing[:]) // never fails (crypto/rand)
	rand.Read(seed[:])
	rand.Read(master[:])
	return json.MarshalIndent(keyringFile{
		Format:  keyringFormat,
		Sealing: base64.StdEncoding.EncodeToString(sealing[:]),
		Ledger:  base64.StdEncoding.EncodeToString(seed[:]),
		Masters: []string{base64.StdEncoding.EncodeToString(master[:])},
	}, "", "  ")
}

// decodeKeyring reads the file's text. Its errors do not quote it.
func decodeKeyring(b []byte) (*keyringFile, error) {
	var f keyringFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		var format struct {
			Format int `json:"format"`
		}
		if json.Unmarshal(b, &format) == nil && format.Format > keyringFormat {
			return nil, fmt.Errorf("format %d is not known to this release", format.Format)
		}
		return nil, errors.New("it is not a keyring")
	}
	switch {
	case f.Format < keyringFormat1 || f.Format > keyringFormat:
		return nil, fmt.Errorf("format %d is not known to this release", f.Format)
	case (f.Format == keyringFormat1) != (len(f.Masters) == 0):
		return nil, errors.New("it is not a keyring")
	}
	return &f, nil
}

func parseKeyring(b []byte) (*keyring, error) {
	f, err := decodeKeyring(b)
	if err != nil {
		return nil, err
	}
	sealing, err1 := base64.StdEncoding.DecodeString(f.Sealing)
	seed, err2 := base64.StdEncoding.DecodeString(f.Ledger)
	if err1 != nil || err2 != nil || len(sealing) != 32 || len(seed) != ed25519.SeedSize {
		return nil, errors.New("it is not a keyring")
	}
	masters, err := f.masters(sealing)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	asked, err := hkdf.Key(digest.NewSHA256, sealing, nil, "ironman/keyring/recognize/1", 32)
	if err != nil {
		return nil, err
	}
	sum := digest.SHA256([]byte("ironman/keyring/1\x00"), sealing)
	return &keyring{seal: aead, print: sum[:16], signer: ed25519.NewKeyFromSeed(seed), masters: masters, asked: asked}, nil
}

// recognize is a keyed hash of what a client asked for. Its key is derived, since every node
// must come to the same without being told.
func (k *keyring) recognize(asked []byte) (sum digest.Sum) {
	m := hmac.New(digest.NewSHA256, k.asked)
	m.Write(asked)
	m.Sum(sum[:0])
	return sum
}

// masters are the master secrets of server-side encryption. A keyring of format 1 has
// none, and every node of its cluster must come to the same without being told: theirs is
// derived from the sealing key. Once rotated they have an independent one.
func (f *keyringFile) masters(sealing []byte) (*sse.Masters, error) {
	if len(f.Masters) == 0 {
		b, err := oldMaster(sealing)
		if err != nil {
			return nil, err
		}
		return newMasters(b)
	}
	var secrets [][]byte
	for _, text := range f.Masters {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("it is not a keyring")
		}
		secrets = append(secrets, b)
	}
	return newMasters(secrets...)
}

func oldMaster(sealing []byte) ([]byte, error) {
	return hkdf.Key(digest.NewSHA256, sealing, nil, "ironman/keyring/sse-master/1", sse.KeyBytes)
}

func newMasters(secrets ...[]byte) (*sse.Masters, error) {
	keys := make([]sse.Key, 0, len(secrets))
	for _, b := range secrets {
		k, err := sse.NewKey(b)
		clear(b)
		if err != nil {
			return nil, errors.New("it is not a keyring")
		}
		keys = append(keys, k)
	}
	return sse.NewMasters(keys...)
}

// RotateSSE adds a master secret to the keyring of a node that does not run: what is
// encrypted from then on is wrapped under it, what was before still opens. Every node
// of a cluster must get the same file before any of them starts again.
func RotateSSE(fs vfs.FS, dir string, checkMode bool) (ids []string, err error) {
	path := fs.PathJoin(dir, "keyring.json")
	b, err := readSecret(fs, path, checkMode)
	if err != nil {
		return nil, fmt.Errorf("server: keyring: %w", err)
	}
	if b, err = rotatedKeyring(b); err != nil {
		return nil, fmt.Errorf("server: keyring %s: %w", path, err)
	}
	k, err := parseKeyring(b)
	if err != nil {
		return nil, err
	}
	return k.masters.IDs(), writeDurably(fs, path, b)
}

// rotatedKeyring is a keyring's text with one master secret more.
func rotatedKeyring(b []byte) ([]byte, error) {
	if _, err := parseKeyring(b); err != nil {
		return nil, err
	}
	f, err := decodeKeyring(b)
	if err != nil {
		return nil, err
	}
	if f.Format == keyringFormat1 {
		sealing, err := base64.StdEncoding.DecodeString(f.Sealing)
		if err != nil {
			return nil, errors.New("it is not a keyring")
		}
		old, err := oldMaster(sealing)
		if err != nil {
			return nil, err
		}
		f.Format, f.Masters = keyringFormat, []string{base64.StdEncoding.EncodeToString(old)}
	}
	var master [sse.KeyBytes]byte
	rand.Read(master[:]) // never fails (crypto/rand)
	f.Masters = append(f.Masters, base64.StdEncoding.EncodeToString(master[:]))
	return json.MarshalIndent(f, "", "  ")
}

// renewedKeyring is a keyring's text with another key for the ledger.
func renewedKeyring(b []byte) ([]byte, error) {
	if _, err := parseKeyring(b); err != nil {
		return nil, err
	}
	f, err := decodeKeyring(b)
	if err != nil {
		return nil, err
	}
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // never fails (crypto/rand)
	f.Ledger = base64.StdEncoding.EncodeToString(seed[:])
	return json.MarshalIndent(f, "", "  ")
}

func accessKeyData(accessKey string) []byte { return []byte("ironman/access-key/1\x00" + accessKey) }

// sealSecret encrypts an access key's secret under a fresh nonce, bound to its id:
// moved to another key's row it does not open.
func (k *keyring) sealSecret(accessKey string, secret sig.Secret) []byte {
	nonce := make([]byte, k.seal.NonceSize(), k.seal.NonceSize()+len(secret.Reveal())+k.seal.Overhead())
	rand.Read(nonce)
	return k.seal.Seal(nonce, nonce, secret.Reveal(), accessKeyData(accessKey))
}

// openSecret is the inverse of sealSecret.
func (k *keyring) openSecret(accessKey string, sealed []byte) (sig.Secret, error) {
	n := k.seal.NonceSize()
	if len(sealed) < n {
		return sig.Secret{}, errors.New("server: a sealed secret is too short")
	}
	b, err := k.seal.Open(nil, sealed[:n], sealed[n:], accessKeyData(accessKey))
	if err != nil {
		return sig.Secret{}, errors.New("server: a sealed secret does not open under this keyring")
	}
	return sig.NewSecret(b), nil
}

// ledgerOrigin names the ledger of a cluster in its checkpoints.
func ledgerOrigin(clusterID []byte, epoch int) string {
	return fmt.Sprintf("ironman/%s/%d", hex.EncodeToString(clusterID), epoch)
}

// ledgerVerifier is the public key of the ledger as C2SP signed-note text.
func (k *keyring) ledgerVerifier(origin string) (string, error) {
	return note.NewEd25519VerifierKey(origin, k.signer.Public().(ed25519.PublicKey))
}

// ledgerSigner signs the ledger's checkpoints.
func (k *keyring) ledgerSigner(origin string) (note.Signer, error) {
	verifier, err := k.ledgerVerifier(origin)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, err
	}
	return &checkpointSigner{name: origin, hash: v.KeyHash(), key: k.signer}, nil
}

// checkpointSigner implements note.Signer for a raw Ed25519 key.
type checkpointSigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func (s *checkpointSigner) Name() string    { return s.name }
func (s *checkpointSigner) KeyHash() uint32 { return s.hash }
func (s *checkpointSigner) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(s.key, msg), nil
}

// String keeps keys out of logs.
func (k *keyring) String() string { return "keyring " + hex.EncodeToString(k.print) }

// GoString keeps keys out of logs.
func (k *keyring) GoString() string { return k.String() }

// Format keeps keys out of logs whatever the verb.
func (k *keyring) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LedgerSigner reads, from the keyring in the directory of a node that does not run, what
// signs checkpoints of the ledger of an origin. checkMode refuses a file that others can
// read.
func LedgerSigner(fs vfs.FS, dir, origin string, checkMode bool) (note.Signer, error) {
	k, err := openKeyring(fs, fs.PathJoin(dir, "keyring.json"), false, checkMode)
	if err != nil {
		return nil, err
	}
	return k.ledgerSigner(origin)
}
