package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/wal/event"
)

// KeySpec is an account with an access key that the first start makes beside the
// root account. Specs of the same name are keys of one account.
type KeySpec struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Name      string `json:"name"`
	Email     string `json:"email,omitempty"`
}

// String keeps the secret out of logs.
func (k KeySpec) String() string { return k.Name + "/" + k.AccessKey }

// GoString keeps the secret out of logs.
func (k KeySpec) GoString() string { return k.String() }

// ReadKeys reads a keys file: a JSON list of KeySpec. With checkMode a file that
// others may read is refused.
func ReadKeys(fs vfs.FS, path string, checkMode bool) ([]KeySpec, error) {
	b, err := readSecret(fs, path, checkMode)
	if err != nil {
		return nil, fmt.Errorf("server: keys: %w", err)
	}
	var keys []KeySpec
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	// The decoder's own words may quote the file, which holds secrets.
	if err := d.Decode(&keys); err != nil || d.More() {
		return nil, fmt.Errorf("server: keys: %s is not a JSON list of access_key, secret_key, name, email", path)
	}
	return keys, nil
}

// accountNumber is the id of the n-th account of the specs, from 0.
func accountNumber(n int) string { return fmt.Sprintf("%012d", n+2) }

// createKeys makes the accounts and keys of the specs. Repeating it after a crash
// makes only what is missing.
func (n *Node) createKeys(ctx context.Context) error {
	accounts := make(map[string]string) // name -> account id
	for _, k := range n.opts.Keys {
		if _, err := newCredentials(k.AccessKey, k.SecretKey); err != nil || k.AccessKey == "" || k.Name == "" {
			return errors.Join(fmt.Errorf("server: key %s: access_key, secret_key and name are needed", k), err)
		}
		id, ok := accounts[k.Name]
		if !ok {
			id = accountNumber(len(accounts))
			accounts[k.Name] = id
			if err := n.createAccount(ctx, id, k); err != nil {
				return err
			}
		}
		err := n.must(ctx, event.NewDraft(nil, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
			AccessKey: k.AccessKey, Account: id, SealedSecret: n.keyring.sealSecret(k.AccessKey, sig.NewSecret(k.SecretKey)),
		}}), event.Refusal_REFUSAL_EXISTS)
		if err != nil {
			return err
		}
	}
	return nil
}

// createAccount makes one account unless it is there.
func (n *Node) createAccount(ctx context.Context, id string, k KeySpec) error {
	v, err := n.machine.View()
	if err != nil {
		return err
	}
	existing, err := v.AccountByID(id)
	if err := errors.Join(err, v.Close()); err != nil {
		return err
	}
	if existing != nil {
		if existing.Name != k.Name {
			return fmt.Errorf("server: keys: account %s is %q already, not %q", id, existing.Name, k.Name)
		}
		return nil
	}
	var canonical [32]byte
	rand.Read(canonical[:]) // never fails (crypto/rand)
	return n.must(ctx, event.NewDraft(nil, &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{
		Account: id, CanonicalId: hex.EncodeToString(canonical[:]),
	}}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, k.Name).AddText(event.ItemKind_ITEM_KIND_NAME, 1, k.Email))
}
