package iam

import (
	"slices"

	"ironman/fsm"
	"ironman/wal/event"
)

// managedID is the id of the policy that a call names; it must be there.
func (c *call) managedID() (string, error) {
	switch {
	case c.builtin != nil:
		return c.builtin.arn(), nil
	case c.policy != nil:
		return c.policy.Policy, nil
	}
	return "", Refuse("NoSuchEntity", "Policy %s does not exist or is not attachable.", c.form.values.Get("PolicyArn"))
}

// attach attaches a managed policy to a principal.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html
func (c *call) attach(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	id, err := c.managedID()
	if err != nil {
		return nil, err
	}
	_, err = c.propose("The attachment to "+x.Name, event.NewDraft(nil, &event.Statement_PoliciesAttached{PoliciesAttached: &event.PoliciesAttached{Principal: x.Principal, Attach: []string{id}}}))
	return nil, err
}

// detach detaches a managed policy.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html
func (c *call) detach(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	id, err := c.managedID()
	if err == nil && !slices.Contains(x.Policies, id) {
		err = Refuse("NoSuchEntity", "Policy %s was not found.", c.form.values.Get("PolicyArn"))
	}
	if err != nil {
		return nil, err
	}
	_, err = c.propose("The attachment to "+x.Name, event.NewDraft(nil, &event.Statement_PoliciesAttached{PoliciesAttached: &event.PoliciesAttached{Principal: x.Principal, Detach: []string{id}}}))
	return nil, err
}

// attachedTo lists the managed policies of a principal: at most ten.
func (c *call) attachedTo(x *fsm.Principal) ([]attachedXML, error) {
	var out []attachedXML
	for _, id := range x.Policies {
		if b := builtinByARN(id); b != nil {
			out = append(out, attachedXML{b.name, b.arn()})
			continue
		}
		p, err := c.view.Policy(id)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out = append(out, attachedXML{p.Name, managedARN(p)})
		}
	}
	return out, nil
}

// listAttached lists the managed policies of a principal.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedUserPolicies.html
func (c *call) listAttached(k event.PrincipalKind) (any, error) {
	x, err := c.there(k)
	if err != nil {
		return nil, err
	}
	list, err := c.attachedTo(x)
	out := struct {
		AttachedPolicies []attachedXML `xml:"AttachedPolicies>member"`
		page
	}{AttachedPolicies: list}
	return out, err
}

func (c *call) attachUser() (any, error)        { return c.attach(user) }
func (c *call) attachGroup() (any, error)       { return c.attach(group) }
func (c *call) attachRole() (any, error)        { return c.attach(role) }
func (c *call) detachUser() (any, error)        { return c.detach(user) }
func (c *call) detachGroup() (any, error)       { return c.detach(group) }
func (c *call) detachRole() (any, error)        { return c.detach(role) }
func (c *call) listAttachedUser() (any, error)  { return c.listAttached(user) }
func (c *call) listAttachedGroup() (any, error) { return c.listAttached(group) }
func (c *call) listAttachedRole() (any, error)  { return c.listAttached(role) }

// listEntitiesForPolicy lists who has a managed policy, or is bounded by it.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html
func (c *call) listEntitiesForPolicy() (any, error) {
	id, err := c.managedID()
	if err != nil {
		return nil, err
	}
	w := c.form.window()
	prefix, filter := c.form.text("PathPrefix"), c.form.text("EntityFilter")
	boundary := c.form.text("PolicyUsageFilter") == "PermissionsBoundary"
	if c.form.err != nil {
		return nil, c.form.err
	}
	list, more, err := c.view.PolicyUsers(c.account(), id, boundary, w.after, w.max)
	return entities(list, more, prefix, filter), err
}

type (
	userRef  struct{ UserName, UserId string }
	groupRef struct{ GroupName, GroupId string }
	roleRef  struct{ RoleName, RoleId string }
)

type entitiesResult struct {
	PolicyUsers  []userRef  `xml:"PolicyUsers>member"`
	PolicyGroups []groupRef `xml:"PolicyGroups>member"`
	PolicyRoles  []roleRef  `xml:"PolicyRoles>member"`
	page
}

func entities(list []*fsm.Principal, more bool, prefix, filter string) entitiesResult {
	var out entitiesResult
	for _, x := range list {
		out.page = pageOf(more, x.Principal)
		if len(x.Path) < len(prefix) || x.Path[:len(prefix)] != prefix {
			continue
		}
		switch {
		case x.Kind == user && (filter == "" || filter == "User"):
			out.PolicyUsers = append(out.PolicyUsers, userRef{x.Name, x.Principal})
		case x.Kind == group && (filter == "" || filter == "Group"):
			out.PolicyGroups = append(out.PolicyGroups, groupRef{x.Name, x.Principal})
		case x.Kind == role && (filter == "" || filter == "Role"):
			out.PolicyRoles = append(out.PolicyRoles, roleRef{x.Name, x.Principal})
		}
	}
	return out
}
