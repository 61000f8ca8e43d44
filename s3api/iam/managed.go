package iam

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"ironman/fsm"
	"ironman/s3api/policy"
	"ironman/wal/event"
)

type policyResult struct{ Policy *policyXML }

type versionResult struct{ PolicyVersion versionXML }

// createPolicy makes a managed policy.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html
func (c *call) createPolicy() (any, error) {
	x := &fsm.Policy{
		Policy: newID("ANPA"), Account: c.account(), Name: c.form.values.Get("PolicyName"), Path: c.form.path("Path", "/"),
		Description: c.form.text("Description"), Tags: c.form.tags(), DefaultVersion: 1,
	}
	text := c.form.document("PolicyDocument", policy.Identity)
	if c.form.err != nil {
		return nil, c.form.err
	}
	d := event.NewDraft(nil, &event.Statement_PolicyCreated{PolicyCreated: &event.PolicyCreated{Policy: x.Policy, Account: x.Account, Path: x.Path}}).
		AddText(itemName, 0, x.Name).AddText(itemName, 1, x.Description).Add(itemDocument, 0, text)
	if x.Tags != nil {
		d.AddMessage(itemTags, 0, x.Tags)
	}
	o, err := c.propose("The policy "+x.Name, d)
	if err != nil {
		return nil, err
	}
	x.Time, x.Updated = o.Time, o.Time
	return policyResult{policyOf(x)}, nil
}

// own is the account's own policy that a call is about. Those that every cluster has
// nobody changes.
func (c *call) own() (*fsm.Policy, error) {
	switch {
	case c.builtin != nil:
		return nil, Refuse("AccessDenied", "Policies that every cluster has cannot be changed.")
	case c.policy == nil:
		return nil, Refuse("NoSuchEntity", "Policy %s was not found.", c.form.values.Get("PolicyArn"))
	}
	return c.policy, nil
}

// getPolicy describes a managed policy.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicy.html
func (c *call) getPolicy() (any, error) {
	if c.builtin != nil {
		return policyResult{c.builtinXML(c.builtin)}, nil
	}
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	return policyResult{policyOf(x)}, nil
}

// deletePolicy removes a policy that nobody has and that has one version.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
func (c *call) deletePolicy() (any, error) {
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	_, err = c.propose("The policy "+x.Name, event.NewDraft(nil, &event.Statement_PolicyDeleted{PolicyDeleted: &event.PolicyDeleted{Policy: x.Policy}}))
	return nil, err
}

// listPolicies lists managed policies: the account's, and those that every cluster has.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicies.html
func (c *call) listPolicies() (any, error) {
	w := c.form.window()
	scope, attached, prefix := c.form.text("Scope"), c.form.flag("OnlyAttached"), c.form.text("PathPrefix")
	if c.form.err != nil {
		return nil, c.form.err
	}
	out := struct {
		Policies []*policyXML `xml:"Policies>member"`
		page
	}{}
	// The marker tells which of the two lists goes on: "own" or "all" stands before a name.
	after, all := strings.CutPrefix(w.after, "all")
	if !all && scope != "AWS" {
		list, more, err := c.view.Policies(fsm.VaultQuery{Account: c.account(), PathPrefix: prefix, After: strings.TrimPrefix(w.after, "own"), Max: w.max})
		if err != nil {
			return nil, err
		}
		for _, x := range list {
			out.page = pageOf(more, "own"+x.Name)
			if !attached || x.Attachments > 0 {
				out.Policies = append(out.Policies, policyOf(x))
			}
		}
		if more {
			return out, nil
		}
		after = ""
	}
	if scope == "Local" || attached || !strings.HasPrefix("/", prefix) {
		return out, nil
	}
	for i := range builtins {
		b := &builtins[i]
		if b.name <= after {
			continue
		}
		if len(out.Policies) >= w.max {
			out.page = pageOf(true, "all"+after)
			break
		}
		after = b.name
		out.Policies = append(out.Policies, c.builtinXML(b))
	}
	return out, nil
}

// listPolicyTags lists a policy's tags.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyTags.html
func (c *call) listPolicyTags() (any, error) {
	if c.builtin != nil {
		return tagsResult{}, nil
	}
	x, err := c.own()
	return tagsResult{Tags: tagsXML(x.GetTags())}, err
}

// tagPolicy sets tags of a managed policy.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagPolicy.html
func (c *call) tagPolicy() (any, error) { return c.changePolicyTags(c.withTags) }

// untagPolicy removes tags of a managed policy. What is not there is not missed.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagPolicy.html
func (c *call) untagPolicy() (any, error) { return c.changePolicyTags(c.withoutTags) }

func (c *call) changePolicyTags(change func(*event.Tags) *event.Tags) (any, error) {
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	b := &event.PolicyTagsSet{Policy: x.Policy, Was: x.Portrait()}
	tags := change(x.Tags)
	if c.form.err != nil {
		return nil, c.form.err
	}
	d := event.NewDraft(nil, &event.Statement_PolicyTagsSet{PolicyTagsSet: b})
	if len(tags.Tags) > 0 {
		d.AddMessage(itemTags, 0, tags)
	}
	_, err = c.propose("The policy "+x.Name, d)
	return nil, err
}

// createPolicyVersion adds a version; there may be five.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicyVersion.html
func (c *call) createPolicyVersion() (any, error) {
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	text, standard := c.form.document("PolicyDocument", policy.Identity), c.form.flag("SetAsDefault")
	if c.form.err != nil {
		return nil, c.form.err
	}
	o, err := c.propose("A version of the policy "+x.Name, event.NewDraft(nil, &event.Statement_PolicyVersionCreated{PolicyVersionCreated: &event.PolicyVersionCreated{
		Policy: x.Policy, Default: standard,
	}}).Add(itemDocument, 0, text))
	if err != nil {
		return nil, err
	}
	return versionResult{versionXML{VersionID: versionID(uint32(o.Allocated)), IsDefaultVersion: standard, CreateDate: dateOf(o.Time)}}, nil
}

// version reads VersionId.
func (f *form) version() uint32 {
	s := f.need("VersionId")
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "v"), 10, 32)
	if f.err == nil && (err != nil || s[0] != 'v') {
		f.fail(invalid("The value of VersionId must be v and a number."))
	}
	return uint32(n)
}

// getPolicyVersion gives the text of a version.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicyVersion.html
func (c *call) getPolicyVersion() (any, error) {
	n := c.form.version()
	if c.form.err != nil {
		return nil, c.form.err
	}
	none := Refuse("NoSuchEntity", "Policy version %s was not found.", versionID(n))
	if c.builtin != nil {
		if n != 1 {
			return nil, none
		}
		return versionResult{versionXML{escaped([]byte(c.builtin.text)), versionID(1), true, dateOf(0)}}, nil
	}
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	p, err := c.view.PolicyVersion(x.Policy, n)
	if err == nil && p == nil {
		err = none
	}
	if err != nil {
		return nil, err
	}
	return versionResult{versionXML{escaped(p.Text), versionID(n), n == x.DefaultVersion, dateOf(p.Time)}}, nil
}

// versions are those of a policy, newest first.
func (c *call) versions(x *fsm.Policy, texts bool) ([]versionXML, error) {
	rows := make(map[uint32]versionXML)
	for _, n := range x.Versions {
		p, err := c.view.PolicyVersion(x.Policy, n)
		if err != nil {
			return nil, err
		}
		v := versionXML{VersionID: versionID(n), IsDefaultVersion: n == x.DefaultVersion, CreateDate: dateOf(p.GetTime())}
		if texts {
			v.Document = escaped(p.GetText())
		}
		rows[n] = v
	}
	var out []versionXML
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(rows))) {
		out = append(out, rows[n])
	}
	return out, nil
}

// listPolicyVersions lists versions: at most five.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyVersions.html
func (c *call) listPolicyVersions() (any, error) {
	out := struct {
		Versions []versionXML `xml:"Versions>member"`
		page
	}{}
	if c.builtin != nil {
		out.Versions = []versionXML{{VersionID: versionID(1), IsDefaultVersion: true, CreateDate: dateOf(0)}}
		return out, nil
	}
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	out.Versions, err = c.versions(x, false)
	return out, err
}

// deletePolicyVersion removes a version that is not the default.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicyVersion.html
func (c *call) deletePolicyVersion() (any, error) {
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	n := c.form.version()
	if c.form.err != nil {
		return nil, c.form.err
	}
	_, err = c.propose("The version "+versionID(n)+" of the policy "+x.Name, event.NewDraft(nil, &event.Statement_PolicyVersionDeleted{PolicyVersionDeleted: &event.PolicyVersionDeleted{
		Policy: x.Policy, Version: n,
	}}))
	return nil, err
}

// setDefaultPolicyVersion makes a version the one that counts.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_SetDefaultPolicyVersion.html
func (c *call) setDefaultPolicyVersion() (any, error) {
	x, err := c.own()
	if err != nil {
		return nil, err
	}
	n := c.form.version()
	if c.form.err != nil {
		return nil, c.form.err
	}
	_, err = c.propose("The version "+versionID(n)+" of the policy "+x.Name, event.NewDraft(nil, &event.Statement_PolicyDefaultSet{PolicyDefaultSet: &event.PolicyDefaultSet{
		Policy: x.Policy, Version: n,
	}}))
	return nil, err
}
