package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// identity is who this node is: its number, its own key, and how often it has
// started. The key is pinned by an event before the node may speak to others; the
// boot counter rises durably before every start, so that a clone or an old backup is
// refused.
type identity struct {
	Format int `json:"format"`
	// Node is 0 while the node wants to join a cluster and has no number yet.
	Node uint32 `json:"node"`
	Boot uint64 `json:"boot"`
	Key  string `json:"key"` // base64, Ed25519 seed
	// Proposed is the newest start that this directory ever proposed to the cluster. It
	// is durable before the proposal: see starts.
	Proposed uint64 `json:"proposed"`
	// Cluster is the id of its cluster, in hexadecimal; empty before genesis or join.
	Cluster string `json:"cluster,omitempty"`
	// Log is set once the node has a log: if that is gone, so is what it voted for.
	Log bool `json:"log,omitempty"`

	key ed25519.PrivateKey
}

const identityFormat = 1

// openIdentity reads and advances the node's identity, or makes it: that of node 1
// of a new cluster, or of a node that is to join one.
func openIdentity(fs vfs.FS, path string, joins, checkMode bool) (*identity, error) {
	id := &identity{}
	b, err := readSecret(fs, path, checkMode)
	switch {
	case errors.Is(err, errNoFile):
		id = newIdentity(1)
		if joins {
			id.Node = 0
		}
	case err != nil:
		return nil, fmt.Errorf("server: identity: %w", err)
	default:
		id.Proposed = math.MaxUint64
		if err := strictJSON(b, id); err != nil || id.Format != identityFormat {
			return nil, fmt.Errorf("server: identity %s: not one that this release understands", path)
		}
		if id.Node == 0 && !joins {
			return nil, fmt.Errorf("server: identity %s: this node was to join a cluster, and did not yet: start it with the cluster's address again", path)
		}
	}
	if id.Proposed == math.MaxUint64 { // written by a release that did not tell: all of its starts may have been
		id.Proposed = id.Boot
	}
	seed, err := base64.StdEncoding.DecodeString(id.Key)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("server: identity %s: the key is damaged", path)
	}
	id.key = ed25519.NewKeyFromSeed(seed)
	id.Boot++
	return id, id.write(fs, path)
}

// newIdentity is that of a node which has never started, with a key that nobody has.
func newIdentity(node uint32) *identity {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails (crypto/rand)
	return &identity{
		Format: identityFormat, Node: node, Key: base64.StdEncoding.EncodeToString(seed), key: ed25519.NewKeyFromSeed(seed),
	}
}

// write makes the identity durable.
func (id *identity) write(fs vfs.FS, path string) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	if err := writeDurably(fs, path, b); err != nil {
		return fmt.Errorf("server: identity: %w", err)
	}
	return nil
}

// founder tells whether this node made its cluster: nobody joins as node 1.
func (id *identity) founder() bool { return id.Node == 1 }

// clusterID is the id of the node's cluster; false if there is none yet.
func (id *identity) clusterID() (cluster [16]byte, ok bool, err error) {
	if id.Cluster == "" {
		return cluster, false, nil
	}
	b, err := hex.DecodeString(id.Cluster)
	if err != nil || len(b) != len(cluster) {
		return cluster, false, errors.New("server: identity: the cluster's id is damaged")
	}
	return [16]byte(b), true, nil
}

// publicKey is the node's key in PKIX form.
func (id *identity) publicKey() ([]byte, error) {
	return x509.MarshalPKIXPublicKey(id.key.Public())
}

// String keeps the key out of logs.
func (id *identity) String() string { return fmt.Sprintf("node %d, start %d", id.Node, id.Boot) }

// GoString keeps the key out of logs.
func (id *identity) GoString() string { return id.String() }

// NodeNumber is the number of the node whose directory this is. It may not run.
func NodeNumber(fs vfs.FS, dir string) (uint32, error) {
	b, err := readSecret(fs, fs.PathJoin(dir, "identity.json"), true)
	if err != nil {
		return 0, fmt.Errorf("server: identity: %w", err)
	}
	id := &identity{}
	if err := strictJSON(b, id); err != nil || id.Node == 0 {
		return 0, fmt.Errorf("server: %s has no number that this release understands", dir)
	}
	return id.Node, nil
}
