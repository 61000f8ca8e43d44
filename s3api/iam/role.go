package iam

import (
	"ironman/fsm"
	"ironman/s3api/policy"
)

type roleResult struct{ Role *roleXML }

// createRole makes a role, which its trust policy lets principals assume.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
func (c *call) createRole() (any, error) {
	x := &fsm.Principal{
		Kind: role, Name: c.form.values.Get("RoleName"), Path: c.form.path("Path", "/"), Description: c.form.text("Description"),
		MaxSession: uint32(c.form.number("MaxSessionDuration", 3600, 3600, 43200)), Tags: c.form.tags(),
	}
	x.Trust = c.trust("AssumeRolePolicyDocument")
	var err error
	if x.Boundary, err = c.boundary(); err == nil {
		err = c.form.err
	}
	if err != nil {
		return nil, err
	}
	if err := c.create(x); err != nil {
		return nil, err
	}
	out, err := c.roleXML(x, true)
	return roleResult{out}, err
}

// trust reads a trust policy. One that names an account which is not there is refused:
// it would trust whoever gets the number.
func (c *call) trust(parameter string) []byte {
	text := c.form.document(parameter, policy.Trust)
	if c.form.err != nil {
		return nil
	}
	p, err := policy.Parse(text, policy.Trust)
	if err != nil {
		c.form.fail(malformed(err))
		return nil
	}
	numbers, _ := p.Accounts()
	for _, n := range numbers {
		a, err := c.view.AccountByID(n)
		if err == nil && a == nil {
			err = malformed(policy.InvalidPrincipal(policy.Trust, rootARN(n)))
		}
		if err != nil {
			c.form.fail(err)
		}
	}
	return text
}

// getRole describes a role.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
func (c *call) getRole() (any, error) {
	x, err := c.there(role)
	if err != nil {
		return nil, err
	}
	out, err := c.roleXML(x, true)
	return roleResult{out}, err
}

// listRoles lists the account's roles by name.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html
func (c *call) listRoles() (any, error) {
	list, end, err := c.list(role)
	out := struct {
		Roles []*roleXML `xml:"Roles>member"`
		page
	}{page: end}
	for _, x := range list {
		r, _ := c.roleXML(x, false)
		out.Roles = append(out.Roles, r)
	}
	return out, err
}

// updateRole changes description and the longest session.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRole.html
func (c *call) updateRole() (any, error) {
	x, err := c.there(role)
	if err != nil {
		return nil, err
	}
	if c.form.values.Has("Description") {
		x.Description = c.form.text("Description")
	}
	x.MaxSession = uint32(c.form.number("MaxSessionDuration", int(x.MaxSession), 3600, 43200))
	return struct{}{}, c.change(x)
}

// updateRoleDescription is the older way to change a description.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateRoleDescription.html
func (c *call) updateRoleDescription() (any, error) {
	x, err := c.there(role)
	if err != nil {
		return nil, err
	}
	x.Description = c.form.text("Description")
	if err := c.change(x); err != nil {
		return nil, err
	}
	out, err := c.roleXML(x, true)
	return roleResult{out}, err
}

// updateAssumeRolePolicy replaces a role's trust policy. Sessions go on.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html
func (c *call) updateAssumeRolePolicy() (any, error) {
	x, err := c.there(role)
	if err != nil {
		return nil, err
	}
	x.Trust = c.trust("PolicyDocument")
	return nil, c.change(x)
}

// deleteRole removes a role without policies; its sessions end with it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html
func (c *call) deleteRole() (any, error) { return c.remove(role) }
