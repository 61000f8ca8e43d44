package iam

import (
	"ironman/fsm"
	"ironman/wal/event"
)

type groupResult struct{ Group *groupXML }

type groupsResult struct {
	Groups []*groupXML `xml:"Groups>member"`
	page
}

// createGroup makes a group of users.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html
func (c *call) createGroup() (any, error) {
	x := &fsm.Principal{Kind: group, Name: c.form.values.Get("GroupName"), Path: c.form.path("Path", "/")}
	if err := c.create(x); err != nil {
		return nil, err
	}
	return groupResult{c.groupXML(x)}, nil
}

// getGroup describes a group and lists its users.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetGroup.html
func (c *call) getGroup() (any, error) {
	x, err := c.there(group)
	if err != nil {
		return nil, err
	}
	w := c.form.window()
	if c.form.err != nil {
		return nil, c.form.err
	}
	users, more, err := c.view.Members(x.Principal, w.after, w.max)
	out := struct {
		Group *groupXML
		usersResult
	}{Group: c.groupXML(x)}
	for _, u := range users {
		one, _ := c.userXML(u, false)
		out.Users = append(out.Users, one)
		out.page = pageOf(more, u.Principal)
	}
	return out, err
}

// listGroups lists the account's groups by name.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroups.html
func (c *call) listGroups() (any, error) {
	list, end, err := c.list(group)
	out := groupsResult{page: end}
	for _, x := range list {
		out.Groups = append(out.Groups, c.groupXML(x))
	}
	return out, err
}

// listGroupsForUser lists the groups that a user is in: at most ten.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html
func (c *call) listGroupsForUser() (any, error) {
	x, err := c.there(user)
	if err != nil {
		return nil, err
	}
	out := groupsResult{}
	for _, id := range x.Groups {
		g, err := c.view.Principal(id)
		if err != nil {
			return nil, err
		}
		out.Groups = append(out.Groups, c.groupXML(g))
	}
	return out, nil
}

// updateGroup changes name and path.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateGroup.html
func (c *call) updateGroup() (any, error) {
	x, err := c.there(group)
	if err != nil {
		return nil, err
	}
	if err := c.rename(x, "NewGroupName"); err != nil {
		return nil, err
	}
	return nil, c.change(x)
}

// deleteGroup removes a group without users and policies.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroup.html
func (c *call) deleteGroup() (any, error) { return c.remove(group) }

// member finds group and user of a change of membership.
func (c *call) member() (g, u *fsm.Principal, err error) {
	if g, err = c.there(group); err != nil {
		return nil, nil, err
	}
	name := c.form.name("UserName", 128)
	if c.form.err != nil {
		return nil, nil, c.form.err
	}
	if u, err = c.view.PrincipalByName(c.account(), user, name); err == nil && u == nil {
		err = noSuch("user", name)
	}
	return g, u, err
}

// addUserToGroup takes a user into a group.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html
func (c *call) addUserToGroup() (any, error) {
	g, u, err := c.member()
	if err != nil {
		return nil, err
	}
	_, err = c.propose("The membership of "+u.Name, event.NewDraft(nil, &event.Statement_MembersChanged{MembersChanged: &event.MembersChanged{Group: g.Principal, Add: []string{u.Principal}}}))
	return nil, err
}

// removeUserFromGroup takes a user out of a group.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveUserFromGroup.html
func (c *call) removeUserFromGroup() (any, error) {
	g, u, err := c.member()
	if err != nil {
		return nil, err
	}
	_, err = c.propose("The membership of "+u.Name, event.NewDraft(nil, &event.Statement_MembersChanged{MembersChanged: &event.MembersChanged{Group: g.Principal, Remove: []string{u.Principal}}}))
	return nil, err
}
