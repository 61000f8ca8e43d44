package iam

import (
	"ironman/s3api/policy"
	"ironman/wal/event"
)

// putInline stores a policy of a principal's own.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html
func (c *call) putInline(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	name, text := c.form.name("PolicyName", 128), c.form.document("PolicyDocument", policy.Identity)
	if c.form.err != nil {
		return nil, c.form.err
	}
	_, err = c.propose("The policy "+name, event.NewDraft(nil, &event.Statement_InlinePolicySet{InlinePolicySet: &event.InlinePolicySet{Principal: x.Principal}}).
		AddText(itemName, 0, name).Add(itemDocument, 0, text))
	return nil, err
}

// getInline gives a policy's text as it was put.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUserPolicy.html
func (c *call) getInline(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	name := c.form.name("PolicyName", 128)
	if c.form.err != nil {
		return nil, c.form.err
	}
	p, err := c.view.InlinePolicy(x.Principal, name)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, noSuch(noun(k)+" policy", name)
	}
	out := struct {
		UserName       string `xml:",omitempty"`
		GroupName      string `xml:",omitempty"`
		RoleName       string `xml:",omitempty"`
		PolicyName     string
		PolicyDocument string
	}{PolicyName: name, PolicyDocument: escaped(p.Text)}
	switch k {
	case user:
		out.UserName = x.Name
	case group:
		out.GroupName = x.Name
	case role:
		out.RoleName = x.Name
	}
	return out, nil
}

// listInline lists the names of a principal's own policies.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUserPolicies.html
func (c *call) listInline(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	w := c.form.window()
	if c.form.err != nil {
		return nil, c.form.err
	}
	names, more, err := c.view.InlineNames(x.Principal, w.after, w.max)
	out := struct {
		PolicyNames []string `xml:"PolicyNames>member"`
		page
	}{PolicyNames: names}
	if more {
		out.page = pageOf(true, names[len(names)-1])
	}
	return out, err
}

// deleteInline removes a policy of a principal's own.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPolicy.html
func (c *call) deleteInline(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	name := c.form.name("PolicyName", 128)
	if c.form.err != nil {
		return nil, c.form.err
	}
	_, err = c.propose("The policy "+name, event.NewDraft(nil, &event.Statement_InlinePolicySet{InlinePolicySet: &event.InlinePolicySet{Principal: x.Principal}}).
		AddText(itemName, 0, name))
	return nil, err
}

func (c *call) putUserPolicy() (any, error)     { return c.putInline(user) }
func (c *call) putGroupPolicy() (any, error)    { return c.putInline(group) }
func (c *call) putRolePolicy() (any, error)     { return c.putInline(role) }
func (c *call) getUserPolicy() (any, error)     { return c.getInline(user) }
func (c *call) getGroupPolicy() (any, error)    { return c.getInline(group) }
func (c *call) getRolePolicy() (any, error)     { return c.getInline(role) }
func (c *call) listUserPolicies() (any, error)  { return c.listInline(user) }
func (c *call) listGroupPolicies() (any, error) { return c.listInline(group) }
func (c *call) listRolePolicies() (any, error)  { return c.listInline(role) }
func (c *call) deleteUserPolicy() (any, error)  { return c.deleteInline(user) }
func (c *call) deleteGroupPolicy() (any, error) { return c.deleteInline(group) }
func (c *call) deleteRolePolicy() (any, error)  { return c.deleteInline(role) }
