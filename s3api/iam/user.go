package iam

import "ironman/fsm"

type userResult struct{ User *userXML }

type usersResult struct {
	Users []*userXML `xml:"Users>member"`
	page
}

// createUser makes a user, which may do nothing yet.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
func (c *call) createUser() (any, error) {
	x := &fsm.Principal{Kind: user, Name: c.form.values.Get("UserName"), Path: c.form.path("Path", "/"), Tags: c.form.tags()}
	var err error
	if x.Boundary, err = c.boundary(); err != nil {
		return nil, err
	}
	if c.form.err != nil {
		return nil, c.form.err
	}
	if err := c.create(x); err != nil {
		return nil, err
	}
	out, err := c.userXML(x, true)
	return userResult{out}, err
}

// getUser describes a user, or who asks.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUser.html
func (c *call) getUser() (any, error) {
	if c.subject == nil && c.form.values.Get("UserName") == "" {
		return userResult{&userXML{Path: "/", UserName: c.caller.Account.Name, UserID: c.account(), Arn: rootARN(c.account()), CreateDate: dateOf(0)}}, nil
	}
	x, err := c.there(user)
	if err != nil {
		return nil, err
	}
	out, err := c.userXML(x, true)
	return userResult{out}, err
}

// listUsers lists the account's users by name.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html
func (c *call) listUsers() (any, error) {
	list, end, err := c.list(user)
	out := usersResult{page: end}
	for _, x := range list {
		u, _ := c.userXML(x, false)
		out.Users = append(out.Users, u)
	}
	return out, err
}

// updateUser changes name and path; the id, and all that belongs to it, stays.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html
func (c *call) updateUser() (any, error) {
	x, err := c.there(user)
	if err != nil {
		return nil, err
	}
	if err := c.rename(x, "NewUserName"); err != nil {
		return nil, err
	}
	return nil, c.change(x)
}

// rename reads a new name and path. Who may do that to the old name must be let do it
// to the new one, or a rename would lead out of what a policy's paths allow.
func (c *call) rename(x *fsm.Principal, parameter string) error {
	if name := c.form.text(parameter); name != "" {
		c.form.checkName(parameter, name, longest(x.Kind))
		x.Name = name
	}
	x.Path = c.form.path("NewPath", x.Path)
	if c.form.err != nil {
		return c.form.err
	}
	return c.authorise(ARN(x))
}

// deleteUser removes a user without keys, policies and groups.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
func (c *call) deleteUser() (any, error) { return c.remove(user) }
