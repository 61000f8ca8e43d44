package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/wal/event"
)

// rootAccount is the id of the account that owns the cluster.
const rootAccount = "000000000001"

// credentialsFile is where root's keys are in the directory of a cluster's first node.
const credentialsFile = "root-credentials.json"

// credentials are the root keys of the first start, kept in a file of mode 0600
// so that whoever runs the node can read them again.
type credentials struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// String keeps the secret out of logs.
func (c *credentials) String() string { return c.AccessKey }

// GoString keeps the secret out of logs.
func (c *credentials) GoString() string { return c.AccessKey }

// genesis makes the cluster, its root account and the root key, each by an event
// and each only once: a first start that was cut short goes on where it was.
func (n *Node) genesis(ctx context.Context) error {
	v, err := n.machine.View()
	if err != nil {
		return err
	}
	c, err1 := v.Cluster()
	account, err2 := v.AccountByID(rootAccount)
	if err := errors.Join(err1, err2, v.Close()); err != nil {
		return err
	}
	if c == nil {
		if err := n.initializeCluster(ctx); err != nil {
			return err
		}
	}
	if err := n.openCredentials(account == nil); err != nil {
		return err
	}
	if account == nil { // before the root account, whose presence ends the first start
		if err := n.createKeys(ctx); err != nil {
			return err
		}
	}
	return n.createRoot(ctx)
}

func (n *Node) initializeCluster(ctx context.Context) error {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	origin := ledgerOrigin(id, 1)
	verifier, err := n.keyring.ledgerVerifier(origin)
	if err != nil {
		return err
	}
	return n.must(ctx, event.NewDraft(nil, &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{
		ClusterId: id, Region: n.opts.Region, KeyringFingerprint: n.keyring.print,
		LedgerOrigin: origin, LedgerKey: verifier, FeatureLevel: event.FeatureLevel,
		HistoryRetention: int64(n.opts.HistoryRetention), ReleaseGrace: int64(n.opts.ReleaseGrace),
	}}))
}

// createRoot makes the root account and its key. The key's secret is in the file
// of credentials before any event names it.
func (n *Node) createRoot(ctx context.Context) error {
	if n.credentials == nil {
		return nil
	}
	v, err := n.machine.View()
	if err != nil {
		return err
	}
	account, err1 := v.AccountByID(rootAccount)
	key, err2 := v.AccessKey(n.credentials.AccessKey)
	if err := errors.Join(err1, err2, v.Close()); err != nil || account != nil && key != nil {
		return err
	}
	var canonical [32]byte
	rand.Read(canonical[:])
	err = n.must(ctx, event.NewDraft(nil, &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{
		Account: rootAccount, CanonicalId: hex.EncodeToString(canonical[:]), Root: true,
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, "root"), event.Refusal_REFUSAL_EXISTS)
	if err != nil {
		return err
	}
	c := n.credentials
	return n.must(ctx, event.NewDraft(nil, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
		AccessKey: c.AccessKey, Account: rootAccount, SealedSecret: n.keyring.sealSecret(c.AccessKey, sig.NewSecret(c.SecretKey)),
	}}), event.Refusal_REFUSAL_EXISTS)
}

// must proposes one of the store's own events and fails if it is refused for
// another reason than the given ones.
func (n *Node) must(ctx context.Context, d *event.Draft, tolerated ...event.Refusal) error {
	a, err := n.agree(ctx, d)
	if err != nil {
		return err
	}
	kind := event.KindName(d.Statement.Kind())
	if r := a.Outcome.Refusal; r != event.Refusal_REFUSAL_NONE {
		for _, t := range tolerated {
			if r == t {
				return nil
			}
		}
		return fmt.Errorf("server: %s was refused: %s", kind, r)
	}
	return nil
}

// openCredentials reads the root keys or, on a first start, fixes them.
func (n *Node) openCredentials(create bool) error {
	o := &n.opts
	path := o.FS.PathJoin(o.Dir, credentialsFile)
	b, err := readSecret(o.FS, path, o.CheckModes)
	switch {
	case err == nil:
		c := &credentials{}
		if err := json.Unmarshal(b, c); err != nil || c.AccessKey == "" || c.SecretKey == "" {
			return fmt.Errorf("server: %s does not hold an access key and a secret key", path)
		}
		n.credentials = c
		return nil
	case !errors.Is(err, errNoFile):
		return fmt.Errorf("server: root credentials: %w", err)
	case !create:
		return nil // taken away once the keys were written down elsewhere
	}
	c, err := newCredentials(o.RootAccessKey, o.RootSecretKey)
	if err != nil {
		return err
	}
	if err := c.write(o.FS, path); err != nil {
		return err
	}
	n.credentials = c
	return nil
}

// write makes the root keys durable.
func (c *credentials) write(f vfs.FS, path string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		err = writeDurably(f, path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("server: root credentials: %w", err)
	}
	return nil
}

// Shortest keys that are accepted.
const (
	minAccessKey = 3
	minSecretKey = 16
)

// newCredentials takes the keys given, or draws them.
func newCredentials(access, secret string) (*credentials, error) {
	if (access == "") != (secret == "") {
		return nil, errors.New("server: set both IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or neither")
	}
	if access == "" {
		var a [10]byte
		var s [30]byte
		rand.Read(a[:])
		rand.Read(s[:])
		access = "IRON" + base32.StdEncoding.EncodeToString(a[:])
		secret = base64.RawURLEncoding.EncodeToString(s[:])
	}
	if len(access) < minAccessKey || len(access) > 128 || strings.ContainsAny(access, "/:, \t\r\n") {
		return nil, fmt.Errorf("server: the root access key must have %d to 128 characters, and no space, slash, colon or comma", minAccessKey)
	}
	if len(secret) < minSecretKey || len(secret) > 128 || secret == access {
		return nil, fmt.Errorf("server: the root secret key must have %d to 128 characters and differ from the access key", minSecretKey)
	}
	return &credentials{AccessKey: access, SecretKey: secret}, nil
}
