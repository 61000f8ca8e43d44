package iam

import (
	"crypto/rand"
	"encoding/base64"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// newSecret draws a secret of 40 characters, as Amazon's are.
func newSecret() sig.Secret {
	var b [30]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return sig.NewSecret(base64.RawURLEncoding.EncodeToString(b[:]))
}

type keyXML struct {
	UserName        string `xml:",omitempty"`
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey *shown `xml:",omitempty"`
	CreateDate      date
}

type keyResult struct{ AccessKey keyXML }

type keysResult struct {
	UserName          string   `xml:",omitempty"`
	AccessKeyMetadata []keyXML `xml:"AccessKeyMetadata>member"`
	page
}

// owner is the principal id of the user whose keys the call is about; "" for those of
// the account itself, which are its own to see.
func (c *call) owner() (id, name string, err error) {
	if c.subject == nil && c.form.values.Get("UserName") == "" {
		return "", "", nil
	}
	x, err := c.there(user)
	return x.GetPrincipal(), x.GetName(), err
}

// createAccessKey makes a key. Its secret is in this answer and nowhere else.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html
func (c *call) createAccessKey() (any, error) {
	id, name, err := c.owner()
	if err != nil {
		return nil, err
	}
	key, secret := newID("AKIA"), newSecret()
	o, err := c.propose("An access key", event.NewDraft(nil, &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{
		AccessKey: key, Account: c.account(), User: id, SealedSecret: c.Seals.Seal(key, secret),
	}}))
	if err != nil {
		return nil, err
	}
	return keyResult{keyXML{name, key, "Active", &shown{secret}, dateOf(o.Time)}}, nil
}

// key is the access key that a call names, if it is one of the owner's.
func (c *call) key() (*fsm.AccessKey, error) {
	id, _, err := c.owner()
	if err != nil {
		return nil, err
	}
	name := c.form.need("AccessKeyId")
	if c.form.err != nil {
		return nil, c.form.err
	}
	k, err := c.view.AccessKey(name)
	if err != nil {
		return nil, err
	}
	if k == nil || k.Account != c.account() || k.User != id {
		return nil, Refuse("NoSuchEntity", "The Access Key with id %s cannot be found.", name)
	}
	return k, nil
}

// deleteAccessKey removes a key.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccessKey.html
func (c *call) deleteAccessKey() (any, error) {
	k, err := c.key()
	if err != nil {
		return nil, err
	}
	_, err = c.propose("The access key", event.NewDraft(nil, &event.Statement_AccessKeyDeleted{AccessKeyDeleted: &event.AccessKeyDeleted{AccessKey: k.AccessKey}}))
	return nil, err
}

// updateAccessKey switches a key on or off.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html
func (c *call) updateAccessKey() (any, error) {
	k, err := c.key()
	if err != nil {
		return nil, err
	}
	status := c.form.need("Status")
	if status != "Active" && status != "Inactive" {
		return nil, invalid("The value of Status must be Active or Inactive.")
	}
	_, err = c.propose("The access key", event.NewDraft(nil, &event.Statement_AccessKeyStatusSet{AccessKeyStatusSet: &event.AccessKeyStatusSet{
		AccessKey: k.AccessKey, Active: status == "Active",
	}}))
	return nil, err
}

func keyStatus(k *fsm.AccessKey) string {
	if k.Active {
		return "Active"
	}
	return "Inactive"
}

// listAccessKeys lists keys without their secrets.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html
func (c *call) listAccessKeys() (any, error) {
	id, name, err := c.owner()
	if err != nil {
		return nil, err
	}
	w := c.form.window()
	if c.form.err != nil {
		return nil, c.form.err
	}
	keys, err := c.view.AccessKeys(c.account(), id)
	out := keysResult{UserName: name}
	for _, k := range keys {
		if k.AccessKey <= w.after {
			continue
		}
		if n := len(out.AccessKeyMetadata); n == w.max {
			out.page = pageOf(true, out.AccessKeyMetadata[n-1].AccessKeyID)
			break
		}
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, keyXML{UserName: name, AccessKeyID: k.AccessKey, Status: keyStatus(k), CreateDate: dateOf(k.Time)})
	}
	return out, err
}

// onKey finds the user whose key a call names.
func onKey(c *call) (string, error) {
	name := c.form.need("AccessKeyId")
	if c.form.err != nil {
		return "", c.form.err
	}
	c.asked = "*"
	k, err := c.view.AccessKey(name)
	if err != nil || k == nil || k.Account != c.account() {
		return "*", err
	}
	if k.User == "" {
		return rootARN(c.account()), nil
	}
	if c.subject, err = c.view.Principal(k.User); err != nil || c.subject == nil {
		return "*", err
	}
	return ARN(c.subject), nil
}

// getAccessKeyLastUsed tells whose a key is. When it was used is in no log: every
// request would be an event.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html
func (c *call) getAccessKeyLastUsed() (any, error) {
	k, err := c.view.AccessKey(c.form.text("AccessKeyId"))
	if err != nil {
		return nil, err
	}
	if k == nil || k.Account != c.account() {
		return nil, Refuse("AccessDenied", "The access key is not one of this account.")
	}
	type used struct{ ServiceName, Region string }
	return struct {
		UserName          string `xml:",omitempty"`
		AccessKeyLastUsed used
	}{c.subject.GetName(), used{"N/A", "N/A"}}, nil
}
