package iam

import (
	"slices"
	"strings"

	"ironman/fsm"
	"ironman/wal/event"
)

// entryXML is an entry of a map of numbers.
type entryXML struct {
	Key   string `xml:"key"`
	Value uint64 `xml:"value"`
}

// getAccountSummary counts what the account has, and names its limits.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
func (c *call) getAccountSummary() (any, error) {
	v, err := c.view.Vault(c.account())
	if err != nil {
		return nil, err
	}
	keys, err := c.view.AccessKeys(c.account(), "")
	if err != nil {
		return nil, err
	}
	present := uint64(0)
	if len(keys) > 0 {
		present = 1
	}
	return struct {
		SummaryMap []entryXML `xml:"SummaryMap>entry"`
	}{[]entryXML{
		{"AccessKeysPerUserQuota", 2}, {"AccountAccessKeysPresent", present}, {"AccountMFAEnabled", 0}, {"AttachedPoliciesPerGroupQuota", 10},
		{"AttachedPoliciesPerRoleQuota", 10}, {"AttachedPoliciesPerUserQuota", 10}, {"GroupPolicySizeQuota", 5120}, {"Groups", v.Groups},
		{"GroupsPerUserQuota", 10}, {"GroupsQuota", 300}, {"MFADevices", 0}, {"MFADevicesInUse", 0}, {"Policies", v.Policies},
		{"PoliciesQuota", 1500}, {"PolicySizeQuota", 6144}, {"Providers", v.Providers}, {"RolePolicySizeQuota", 10240}, {"Roles", v.Roles},
		{"RolesQuota", 1000}, {"UserPolicySizeQuota", 2048}, {"Users", v.Users}, {"UsersQuota", 5000}, {"VersionsPerPolicyQuota", 5},
	}}, nil
}

// listAccountAliases: an account has none.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccountAliases.html
func (c *call) listAccountAliases() (any, error) {
	return struct {
		AccountAliases []string `xml:"AccountAliases>member"`
		page
	}{}, nil
}

// listInstanceProfilesForRole: there are none, which whoever is about to delete a role asks.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html
func (c *call) listInstanceProfilesForRole() (any, error) {
	_, err := c.there(role)
	return struct {
		InstanceProfiles []struct{} `xml:"InstanceProfiles>member"`
		page
	}{}, err
}

// listMFADevices: a user has none.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListMFADevices.html
func (c *call) listMFADevices() (any, error) {
	_, _, err := c.owner()
	return struct {
		MFADevices []struct{} `xml:"MFADevices>member"`
		page
	}{}, err
}

type inlineXML struct{ PolicyName, PolicyDocument string }

type userDetail struct {
	*userXML
	GroupList               []string      `xml:"GroupList>member"`
	UserPolicyList          []inlineXML   `xml:"UserPolicyList>member"`
	AttachedManagedPolicies []attachedXML `xml:"AttachedManagedPolicies>member"`
}

type groupDetail struct {
	*groupXML
	GroupPolicyList         []inlineXML   `xml:"GroupPolicyList>member"`
	AttachedManagedPolicies []attachedXML `xml:"AttachedManagedPolicies>member"`
}

type roleDetail struct {
	*roleXML
	RolePolicyList          []inlineXML   `xml:"RolePolicyList>member"`
	AttachedManagedPolicies []attachedXML `xml:"AttachedManagedPolicies>member"`
}

type policyDetail struct {
	*policyXML
	PolicyVersionList []versionXML `xml:"PolicyVersionList>member"`
}

type detailsResult struct {
	UserDetailList  []userDetail   `xml:"UserDetailList>member"`
	GroupDetailList []groupDetail  `xml:"GroupDetailList>member"`
	RoleDetailList  []roleDetail   `xml:"RoleDetailList>member"`
	Policies        []policyDetail `xml:"Policies>member"`
	page
}

// sections of the details, in their order.
var sections = [...]string{"User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"}

// getAccountAuthorizationDetails tells all of who may do what. It holds no secrets.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
func (c *call) getAccountAuthorizationDetails() (any, error) {
	w := c.form.window()
	filter := c.form.list("Filter", "")
	if c.form.err != nil {
		return nil, c.form.err
	}
	out := &detailsResult{}
	from, after, _ := strings.Cut(w.after, ":")
	left := w.max
	for i, name := range sections {
		if len(filter) > 0 && !slices.Contains(filter, name) || from != "" && i < indexOf(from) {
			continue
		}
		if name != from {
			after = ""
		}
		n, last, more, err := c.section(out, name, after, left)
		if err != nil {
			return nil, err
		}
		if left -= n; more || left == 0 {
			// A page that ends with a section goes on behind it.
			if out.page = pageOf(true, name+":"+last); !more && i == len(sections)-1 {
				out.page = page{}
			}
			return out, nil
		}
	}
	return out, nil
}

func indexOf(section string) int {
	if i := slices.Index(sections[:], section); i >= 0 {
		return i
	}
	return len(sections)
}

// section adds at most max entries of a section; last is the name of the last.
func (c *call) section(out *detailsResult, name, after string, max int) (n int, last string, more bool, err error) {
	switch name {
	case "AWSManagedPolicy":
		for i := range builtins {
			if b := &builtins[i]; b.name > after {
				if n == max {
					return n, last, true, nil
				}
				n, last = n+1, b.name
				out.Policies = append(out.Policies, policyDetail{c.builtinXML(b), []versionXML{{escaped([]byte(b.text)), versionID(1), true, dateOf(0)}}})
			}
		}
		return n, last, false, nil
	case "LocalManagedPolicy":
		list, more, err := c.view.Policies(fsm.VaultQuery{Account: c.account(), After: after, Max: max})
		for _, x := range list {
			versions, err := c.versions(x, true)
			if err != nil {
				return 0, "", false, err
			}
			last = x.Name
			out.Policies = append(out.Policies, policyDetail{policyOf(x), versions})
		}
		return len(list), last, more, err
	}
	kind := map[string]event.PrincipalKind{"User": user, "Group": group, "Role": role}[name]
	list, more, err := c.view.Principals(kind, fsm.VaultQuery{Account: c.account(), After: after, Max: max})
	for _, x := range list {
		if err := c.detail(out, x); err != nil {
			return 0, "", false, err
		}
		last = x.Name
	}
	return len(list), last, more, err
}

// detail adds a principal with its policies.
func (c *call) detail(out *detailsResult, x *fsm.Principal) error {
	var inline []inlineXML
	names, _, err := c.view.InlineNames(x.Principal, "", maxList)
	if err != nil {
		return err
	}
	for _, name := range names {
		p, err := c.view.InlinePolicy(x.Principal, name)
		if err != nil {
			return err
		}
		inline = append(inline, inlineXML{name, escaped(p.GetText())})
	}
	attached, err := c.attachedTo(x)
	if err != nil {
		return err
	}
	switch x.Kind {
	case user:
		u, err := c.userXML(x, true)
		if err != nil {
			return err
		}
		var groups []string
		for _, id := range x.Groups {
			g, err := c.view.Principal(id)
			if err != nil {
				return err
			}
			groups = append(groups, g.GetName())
		}
		out.UserDetailList = append(out.UserDetailList, userDetail{u, groups, inline, attached})
	case group:
		out.GroupDetailList = append(out.GroupDetailList, groupDetail{c.groupXML(x), inline, attached})
	case role:
		r, err := c.roleXML(x, true)
		if err != nil {
			return err
		}
		out.RoleDetailList = append(out.RoleDetailList, roleDetail{r, inline, attached})
	}
	return nil
}
