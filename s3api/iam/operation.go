package iam

import (
	"sort"

	"ironman/fsm"
	"ironman/wal/event"
)

// operation is a row of the table: an action of the API.
type operation struct {
	name    string
	service string
	// on finds what the action is done to, for authorise.
	on func(*call) (resource string, err error)
	// free: who is not denied may do it (or authorises itself).
	free bool
	// unsigned: whoever calls proves otherwise who it is.
	unsigned bool
	handle   func(*call) (any, error)
}

// find looks an action up; nil: it is not served.
func find(name string) *operation {
	i := sort.Search(len(table), func(i int) bool { return table[i].name >= name })
	if i == len(table) || table[i].name != name {
		return nil
	}
	return &table[i]
}

// Names are the actions that are served, of both services, in byte order.
func Names() []string {
	var out []string
	for i := range table {
		out = append(out, table[i].service+":"+table[i].name)
	}
	return out
}

// Kinds of principals in short.
const (
	user  = event.PrincipalKind_PRINCIPAL_KIND_USER
	group = event.PrincipalKind_PRINCIPAL_KIND_GROUP
	role  = event.PrincipalKind_PRINCIPAL_KIND_ROLE
	// provider is one of identities by OpenID Connect.
	provider = event.PrincipalKind_PRINCIPAL_KIND_PROVIDER
)

// onAccount: the action is done to the account, which only "*" means.
func onAccount(*call) (string, error) { return "*", nil }

// onNew is a principal that is to be made.
func onNew(k event.PrincipalKind, parameter string) func(*call) (string, error) {
	return func(c *call) (string, error) {
		path, name := c.form.path("Path", "/"), c.form.name(parameter, longest(k))
		return arn(c.account(), noun(k), path, name), c.form.err
	}
}

// longest is the longest name of a kind of principal.
func longest(k event.PrincipalKind) int {
	if k == group {
		return 128
	}
	return 64
}

// on is a principal that is there, or should be.
func on(k event.PrincipalKind, parameter string) func(*call) (string, error) {
	return func(c *call) (string, error) { return c.find(k, c.form.name(parameter, 128)) }
}

// find finds the principal that the call is about. Of one that is not there the ARN is
// as if it stood at the root of all paths.
func (c *call) find(k event.PrincipalKind, name string) (string, error) {
	if c.form.err != nil {
		return "", c.form.err
	}
	var err error
	c.asked = arn(c.account(), noun(k), "/", name)
	if c.subject, err = c.view.PrincipalByName(c.account(), k, name); err != nil {
		return "", err
	}
	if c.subject == nil {
		return c.asked, nil
	}
	return ARN(c.subject), nil
}

// onSelf is a user by name; without one, who calls: the subject is then nil for an
// account itself.
func onSelf(c *call) (string, error) {
	if name := c.form.text("UserName"); name != "" {
		c.form.checkName("UserName", name, 128)
		return c.find(user, name)
	}
	if c.caller.Role != nil || c.caller.federated() {
		return "", invalid("Must specify userName when calling with non-User credentials")
	}
	c.subject = c.caller.User
	return c.caller.ARN(), nil
}

// there is the call's subject, which must be there.
func (c *call) there(k event.PrincipalKind) (*fsm.Principal, error) {
	if c.subject == nil {
		return nil, noSuch(noun(k), c.form.values.Get(map[event.PrincipalKind]string{user: "UserName", group: "GroupName", role: "RoleName"}[k]))
	}
	c.was = c.subject.Portrait()
	return c.subject, nil
}

// onNewPolicy is a managed policy that is to be made.
func onNewPolicy(c *call) (string, error) {
	path, name := c.form.path("Path", "/"), c.form.name("PolicyName", 128)
	return arn(c.account(), "policy", path, name), c.form.err
}

// onPolicy is a managed policy by its ARN.
func onPolicy(c *call) (string, error) {
	s := c.form.need("PolicyArn")
	if c.form.err != nil {
		return "", c.form.err
	}
	var err error
	c.policy, c.builtin, err = c.managed(s)
	return s, err
}

// attaches finds a principal and puts the policy into the context of conditions.
func attaches(k event.PrincipalKind, parameter string) func(*call) (string, error) {
	return func(c *call) (string, error) {
		resource, err := on(k, parameter)(c)
		if err == nil {
			_, err = onPolicy(c)
		}
		c.request.Context.Set("iam:PolicyARN", c.form.values.Get("PolicyArn"))
		return resource, err
	}
}

// table holds every action in byte order; it is never written.
var table = [...]operation{
	{"AddClientIDToOpenIDConnectProvider", ServiceIAM, onProvider, false, false, (*call).addClientID},
	{"AddUserToGroup", ServiceIAM, on(group, "GroupName"), false, false, (*call).addUserToGroup},
	{"AssumeRole", ServiceSTS, onRoleARN, true, false, (*call).assumeRole},
	{"AssumeRoleWithWebIdentity", ServiceSTS, onRoleARN, true, true, (*call).assumeRoleWithWebIdentity},
	{"AttachGroupPolicy", ServiceIAM, attaches(group, "GroupName"), false, false, (*call).attachGroup},
	{"AttachRolePolicy", ServiceIAM, attaches(role, "RoleName"), false, false, (*call).attachRole},
	{"AttachUserPolicy", ServiceIAM, attaches(user, "UserName"), false, false, (*call).attachUser},
	{"CreateAccessKey", ServiceIAM, onSelf, false, false, (*call).createAccessKey},
	{"CreateGroup", ServiceIAM, onNew(group, "GroupName"), false, false, (*call).createGroup},
	{"CreateOpenIDConnectProvider", ServiceIAM, onNewProvider, false, false, (*call).createOpenIDConnectProvider},
	{"CreatePolicy", ServiceIAM, onNewPolicy, false, false, (*call).createPolicy},
	{"CreatePolicyVersion", ServiceIAM, onPolicy, false, false, (*call).createPolicyVersion},
	{"CreateRole", ServiceIAM, onNew(role, "RoleName"), false, false, (*call).createRole},
	{"CreateUser", ServiceIAM, onNew(user, "UserName"), false, false, (*call).createUser},
	{"DeleteAccessKey", ServiceIAM, onSelf, false, false, (*call).deleteAccessKey},
	{"DeleteGroup", ServiceIAM, on(group, "GroupName"), false, false, (*call).deleteGroup},
	{"DeleteGroupPolicy", ServiceIAM, on(group, "GroupName"), false, false, (*call).deleteGroupPolicy},
	{"DeleteOpenIDConnectProvider", ServiceIAM, onProvider, false, false, (*call).deleteOpenIDConnectProvider},
	{"DeletePolicy", ServiceIAM, onPolicy, false, false, (*call).deletePolicy},
	{"DeletePolicyVersion", ServiceIAM, onPolicy, false, false, (*call).deletePolicyVersion},
	{"DeleteRole", ServiceIAM, on(role, "RoleName"), false, false, (*call).deleteRole},
	{"DeleteRolePermissionsBoundary", ServiceIAM, on(role, "RoleName"), false, false, (*call).deleteRoleBoundary},
	{"DeleteRolePolicy", ServiceIAM, on(role, "RoleName"), false, false, (*call).deleteRolePolicy},
	{"DeleteUser", ServiceIAM, on(user, "UserName"), false, false, (*call).deleteUser},
	{"DeleteUserPermissionsBoundary", ServiceIAM, on(user, "UserName"), false, false, (*call).deleteUserBoundary},
	{"DeleteUserPolicy", ServiceIAM, on(user, "UserName"), false, false, (*call).deleteUserPolicy},
	{"DetachGroupPolicy", ServiceIAM, attaches(group, "GroupName"), false, false, (*call).detachGroup},
	{"DetachRolePolicy", ServiceIAM, attaches(role, "RoleName"), false, false, (*call).detachRole},
	{"DetachUserPolicy", ServiceIAM, attaches(user, "UserName"), false, false, (*call).detachUser},
	{"GetAccessKeyLastUsed", ServiceIAM, onKey, false, false, (*call).getAccessKeyLastUsed},
	{"GetAccountAuthorizationDetails", ServiceIAM, onAccount, false, false, (*call).getAccountAuthorizationDetails},
	{"GetAccountSummary", ServiceIAM, onAccount, false, false, (*call).getAccountSummary},
	{"GetCallerIdentity", ServiceSTS, onAccount, true, false, (*call).getCallerIdentity},
	{"GetContextKeysForCustomPolicy", ServiceIAM, onAccount, false, false, (*call).getContextKeysForCustomPolicy},
	{"GetContextKeysForPrincipalPolicy", ServiceIAM, onSource, false, false, (*call).getContextKeysForPrincipalPolicy},
	{"GetFederationToken", ServiceSTS, onFederated, false, false, (*call).getFederationToken},
	{"GetGroup", ServiceIAM, on(group, "GroupName"), false, false, (*call).getGroup},
	{"GetGroupPolicy", ServiceIAM, on(group, "GroupName"), false, false, (*call).getGroupPolicy},
	{"GetOpenIDConnectProvider", ServiceIAM, onProvider, false, false, (*call).getOpenIDConnectProvider},
	{"GetPolicy", ServiceIAM, onPolicy, false, false, (*call).getPolicy},
	{"GetPolicyVersion", ServiceIAM, onPolicy, false, false, (*call).getPolicyVersion},
	{"GetRole", ServiceIAM, on(role, "RoleName"), false, false, (*call).getRole},
	{"GetRolePolicy", ServiceIAM, on(role, "RoleName"), false, false, (*call).getRolePolicy},
	{"GetSessionToken", ServiceSTS, onAccount, true, false, (*call).getSessionToken},
	{"GetUser", ServiceIAM, onSelf, false, false, (*call).getUser},
	{"GetUserPolicy", ServiceIAM, on(user, "UserName"), false, false, (*call).getUserPolicy},
	{"ListAccessKeys", ServiceIAM, onSelf, false, false, (*call).listAccessKeys},
	{"ListAccountAliases", ServiceIAM, onAccount, false, false, (*call).listAccountAliases},
	{"ListAttachedGroupPolicies", ServiceIAM, on(group, "GroupName"), false, false, (*call).listAttachedGroup},
	{"ListAttachedRolePolicies", ServiceIAM, on(role, "RoleName"), false, false, (*call).listAttachedRole},
	{"ListAttachedUserPolicies", ServiceIAM, on(user, "UserName"), false, false, (*call).listAttachedUser},
	{"ListEntitiesForPolicy", ServiceIAM, onPolicy, false, false, (*call).listEntitiesForPolicy},
	{"ListGroupPolicies", ServiceIAM, on(group, "GroupName"), false, false, (*call).listGroupPolicies},
	{"ListGroups", ServiceIAM, onAccount, false, false, (*call).listGroups},
	{"ListGroupsForUser", ServiceIAM, on(user, "UserName"), false, false, (*call).listGroupsForUser},
	{"ListInstanceProfilesForRole", ServiceIAM, on(role, "RoleName"), false, false, (*call).listInstanceProfilesForRole},
	{"ListMFADevices", ServiceIAM, onSelf, false, false, (*call).listMFADevices},
	{"ListOpenIDConnectProviderTags", ServiceIAM, onProvider, false, false, (*call).listProviderTags},
	{"ListOpenIDConnectProviders", ServiceIAM, onAccount, false, false, (*call).listOpenIDConnectProviders},
	{"ListPolicies", ServiceIAM, onAccount, false, false, (*call).listPolicies},
	{"ListPolicyTags", ServiceIAM, onPolicy, false, false, (*call).listPolicyTags},
	{"ListPolicyVersions", ServiceIAM, onPolicy, false, false, (*call).listPolicyVersions},
	{"ListRolePolicies", ServiceIAM, on(role, "RoleName"), false, false, (*call).listRolePolicies},
	{"ListRoleTags", ServiceIAM, on(role, "RoleName"), false, false, (*call).listRoleTags},
	{"ListRoles", ServiceIAM, onAccount, false, false, (*call).listRoles},
	{"ListUserPolicies", ServiceIAM, on(user, "UserName"), false, false, (*call).listUserPolicies},
	{"ListUserTags", ServiceIAM, on(user, "UserName"), false, false, (*call).listUserTags},
	{"ListUsers", ServiceIAM, onAccount, false, false, (*call).listUsers},
	{"PutGroupPolicy", ServiceIAM, on(group, "GroupName"), false, false, (*call).putGroupPolicy},
	{"PutRolePermissionsBoundary", ServiceIAM, on(role, "RoleName"), false, false, (*call).putRoleBoundary},
	{"PutRolePolicy", ServiceIAM, on(role, "RoleName"), false, false, (*call).putRolePolicy},
	{"PutUserPermissionsBoundary", ServiceIAM, on(user, "UserName"), false, false, (*call).putUserBoundary},
	{"PutUserPolicy", ServiceIAM, on(user, "UserName"), false, false, (*call).putUserPolicy},
	{"RemoveClientIDFromOpenIDConnectProvider", ServiceIAM, onProvider, false, false, (*call).removeClientID},
	{"RemoveUserFromGroup", ServiceIAM, on(group, "GroupName"), false, false, (*call).removeUserFromGroup},
	{"SetDefaultPolicyVersion", ServiceIAM, onPolicy, false, false, (*call).setDefaultPolicyVersion},
	{"SimulateCustomPolicy", ServiceIAM, onAccount, false, false, (*call).simulateCustomPolicy},
	{"SimulatePrincipalPolicy", ServiceIAM, onSource, false, false, (*call).simulatePrincipalPolicy},
	{"TagOpenIDConnectProvider", ServiceIAM, onProvider, false, false, (*call).tagProvider},
	{"TagPolicy", ServiceIAM, onPolicy, false, false, (*call).tagPolicy},
	{"TagRole", ServiceIAM, on(role, "RoleName"), false, false, (*call).tagRole},
	{"TagUser", ServiceIAM, on(user, "UserName"), false, false, (*call).tagUser},
	{"UntagOpenIDConnectProvider", ServiceIAM, onProvider, false, false, (*call).untagProvider},
	{"UntagPolicy", ServiceIAM, onPolicy, false, false, (*call).untagPolicy},
	{"UntagRole", ServiceIAM, on(role, "RoleName"), false, false, (*call).untagRole},
	{"UntagUser", ServiceIAM, on(user, "UserName"), false, false, (*call).untagUser},
	{"UpdateAccessKey", ServiceIAM, onSelf, false, false, (*call).updateAccessKey},
	{"UpdateAssumeRolePolicy", ServiceIAM, on(role, "RoleName"), false, false, (*call).updateAssumeRolePolicy},
	{"UpdateGroup", ServiceIAM, on(group, "GroupName"), false, false, (*call).updateGroup},
	{"UpdateOpenIDConnectProviderThumbprint", ServiceIAM, onProvider, false, false, (*call).updateThumbprints},
	{"UpdateRole", ServiceIAM, on(role, "RoleName"), false, false, (*call).updateRole},
	{"UpdateRoleDescription", ServiceIAM, on(role, "RoleName"), false, false, (*call).updateRoleDescription},
	{"UpdateUser", ServiceIAM, on(user, "UserName"), false, false, (*call).updateUser},
}
