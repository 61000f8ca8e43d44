package iam

import (
	"crypto/rand"
	"encoding/base32"

	"ironman/fsm"
	"ironman/wal/event"
)

// newID draws a unique id of a kind, as Amazon's begin.
func newID(prefix string) string {
	var b [10]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

// idPrefix begins the ids of a kind of principal.
func idPrefix(k event.PrincipalKind) string {
	switch k {
	case group:
		return "AGPA"
	case role:
		return "AROA"
	case provider:
		return "OIDC"
	}
	return "AIDA"
}

const (
	itemName     = event.ItemKind_ITEM_KIND_NAME
	itemDocument = event.ItemKind_ITEM_KIND_DOCUMENT
	itemTags     = event.ItemKind_ITEM_KIND_TAGS
)

// describe adds what an event tells of a principal in items.
func describe(d *event.Draft, x *fsm.Principal) *event.Draft {
	d.AddText(itemName, 0, x.Name).AddText(itemName, 1, x.Description).Add(itemDocument, 0, x.Trust)
	if len(x.Tags.GetTags()) > 0 {
		d.AddMessage(itemTags, 0, x.Tags)
	}
	return d
}

// create makes a principal as it is to be. The id is drawn here.
func (c *call) create(x *fsm.Principal) error {
	x.Principal, x.Account = newID(idPrefix(x.Kind)), c.account()
	o, err := c.propose("The "+noun(x.Kind)+" "+x.Name, describe(event.NewDraft(nil, &event.Statement_PrincipalCreated{PrincipalCreated: &event.PrincipalCreated{
		Principal: x.Principal, Account: x.Account, Kind: x.Kind, Path: x.Path, MaxSession: x.MaxSession, Boundary: x.Boundary,
	}}), x))
	x.Time = o.GetTime()
	return err
}

// change makes a principal what x is now.
func (c *call) change(x *fsm.Principal) error {
	if c.form.err != nil {
		return c.form.err
	}
	_, err := c.propose("The "+noun(x.Kind)+" "+x.Name, describe(event.NewDraft(nil, &event.Statement_PrincipalChanged{PrincipalChanged: &event.PrincipalChanged{
		Principal: x.Principal, Path: x.Path, MaxSession: x.MaxSession, Boundary: x.Boundary, Was: c.was,
	}}), x))
	return err
}

// remove deletes the call's subject.
func (c *call) remove(k event.PrincipalKind) (any, error) {
	if _, err := c.there(k); err != nil {
		return nil, err
	}
	return c.removeSubject()
}

func (c *call) removeSubject() (any, error) {
	x := c.subject
	_, err := c.propose("The "+noun(x.Kind)+" "+x.Name, event.NewDraft(nil, &event.Statement_PrincipalDeleted{PrincipalDeleted: &event.PrincipalDeleted{Principal: x.Principal}}))
	return nil, err
}

// list reads a page of principals of a kind.
func (c *call) list(k event.PrincipalKind) ([]*fsm.Principal, page, error) {
	w := c.form.window()
	prefix := c.form.text("PathPrefix")
	if c.form.err != nil {
		return nil, page{}, c.form.err
	}
	list, more, err := c.view.Principals(k, fsm.VaultQuery{Account: c.account(), PathPrefix: prefix, After: w.after, Max: w.max})
	if err != nil || len(list) == 0 {
		return nil, page{}, err
	}
	return list, pageOf(more, list[len(list)-1].Name), nil
}

// boundary reads the id of the managed policy that is to bound a principal.
func (c *call) boundary() (string, error) {
	s := c.form.text("PermissionsBoundary")
	if s == "" {
		return "", nil
	}
	p, b, err := c.managed(s)
	switch {
	case err != nil:
		return "", err
	case b != nil:
		return b.arn(), nil
	case p == nil:
		return "", Refuse("NoSuchEntity", "Policy %s does not exist or is not attachable.", s)
	}
	return p.Policy, nil
}

// boundaryInQuestion is the value of iam:PermissionsBoundary: the boundary that is asked
// for, where the call sets one, and for what else is done to a user or role the one that
// it has now. Else anybody would pass by naming in the form what the condition wants.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
func (c *call) boundaryInQuestion() (string, error) {
	switch c.op.name {
	case "CreateRole", "CreateUser", "PutRolePermissionsBoundary", "PutUserPermissionsBoundary":
		return c.form.values.Get("PermissionsBoundary"), nil
	case "AttachRolePolicy", "AttachUserPolicy", "DetachRolePolicy", "DetachUserPolicy",
		"DeleteRolePermissionsBoundary", "DeleteUserPermissionsBoundary",
		"DeleteRolePolicy", "DeleteUserPolicy", "PutRolePolicy", "PutUserPolicy":
		if c.subject != nil && c.subject.Boundary != "" {
			return c.policyARN(c.subject.Boundary)
		}
	}
	return "", nil
}

// setBoundary bounds the call's subject, or, with none, frees it.
func (c *call) setBoundary(k event.PrincipalKind, set bool) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	if !set && x.Boundary == "" {
		return nil, Refuse("NoSuchEntity", "The %s %s has no permissions boundary.", noun(k), x.Name)
	}
	x.Boundary = ""
	if set {
		c.form.need("PermissionsBoundary")
		if x.Boundary, err = c.boundary(); err != nil {
			return nil, err
		}
	}
	return nil, c.change(x)
}

func (c *call) putUserBoundary() (any, error)    { return c.setBoundary(user, true) }
func (c *call) putRoleBoundary() (any, error)    { return c.setBoundary(role, true) }
func (c *call) deleteUserBoundary() (any, error) { return c.setBoundary(user, false) }
func (c *call) deleteRoleBoundary() (any, error) { return c.setBoundary(role, false) }

// put sets one tag in a list, in place of one whose key differs in case at most.
func put(t *event.Tags, key, value string) {
	for _, x := range t.Tags {
		if tagKey(x.Key) == tagKey(key) {
			x.Key, x.Value = key, value
			return
		}
	}
	t.Tags = append(t.Tags, &event.Tag{Key: key, Value: value})
}

// tag sets tags of the call's subject.
func (c *call) tag(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	x.Tags = c.withTags(x.Tags)
	return nil, c.change(x)
}

// withTags are tags with those of the call.
func (c *call) withTags(tags *event.Tags) *event.Tags {
	if tags == nil {
		tags = &event.Tags{}
	}
	for _, t := range c.form.tags().GetTags() {
		put(tags, t.Key, t.Value)
	}
	return tags
}

// untag removes tags of the call's subject. What is not there is not missed.
func (c *call) untag(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	x.Tags = c.withoutTags(x.Tags)
	return nil, c.change(x)
}

// withoutTags are tags without those that the call names.
func (c *call) withoutTags(tags *event.Tags) *event.Tags {
	left := &event.Tags{}
	gone := make(map[string]bool)
	for _, key := range c.form.list("TagKeys", "") {
		gone[tagKey(key)] = true
	}
	for _, t := range tags.GetTags() {
		if !gone[tagKey(t.Key)] {
			left.Tags = append(left.Tags, t)
		}
	}
	return left
}

type tagsResult struct {
	Tags []tagXML `xml:"Tags>member"`
	page
}

func (c *call) listTags(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	return tagsResult{Tags: tagsXML(x.GetTags())}, err
}

func (c *call) tagUser() (any, error)      { return c.tag(user) }
func (c *call) tagRole() (any, error)      { return c.tag(role) }
func (c *call) untagUser() (any, error)    { return c.untag(user) }
func (c *call) untagRole() (any, error)    { return c.untag(role) }
func (c *call) listUserTags() (any, error) { return c.listTags(user) }
func (c *call) listRoleTags() (any, error) { return c.listTags(role) }
