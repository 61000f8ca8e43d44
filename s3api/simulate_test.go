package s3api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ironman/s3api/sig"
)

const (
	vaultAccount = "000000000021"
	vaultARN     = "arn:aws:iam::" + vaultAccount + ":"
)

// letting is a policy of one statement, which allows actions of S3; rest follows.
func letting(rest string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*",` + rest + `}]}`
}

// asking is a policy that asks for the value of a key.
func asking(key string) string {
	return letting(`"Resource":"*","Condition":{"StringEquals":{"` + key + `":"x"}}`)
}

// newSimulated is a world with a user in a group, and a role; each has policies of its own.
func newSimulated(t *testing.T) (*world, sig.Credential) {
	w := newWorld(t)
	c := w.account(t, vaultAccount, "vault", false)
	managed := func(name, text string) string {
		return w.vault(c, "iam", "CreatePolicy", "PolicyName", name, "PolicyDocument", text).field("Arn")
	}
	w.vault(c, "iam", "CreateUser", "UserName", "ada", "Path", "/math/", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "x")
	w.vault(c, "iam", "PutUserPolicy", "UserName", "ada", "PolicyName", "own", "PolicyDocument", letting(`"Resource":"arn:aws:s3:::home/${aws:username}/*"`))
	w.vault(c, "iam", "AttachUserPolicy", "UserName", "ada", "PolicyArn", managed("attached", asking("aws:PrincipalTag/team")))
	w.vault(c, "iam", "PutUserPermissionsBoundary", "UserName", "ada", "PermissionsBoundary", managed("bounds", asking("aws:SourceIp")))
	w.vault(c, "iam", "CreateGroup", "GroupName", "crew")
	w.vault(c, "iam", "PutGroupPolicy", "GroupName", "crew", "PolicyName", "group", "PolicyDocument", asking("s3:prefix"))
	w.vault(c, "iam", "AddUserToGroup", "GroupName", "crew", "UserName", "ada")
	w.vault(c, "iam", "CreateRole", "RoleName", "job", "AssumeRolePolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"`+vaultAccount+`"}}]}`)
	w.vault(c, "iam", "PutRolePolicy", "RoleName", "job", "PolicyName", "role", "PolicyDocument", letting(`"Resource":"arn:aws:s3:::${aws:PrincipalArn}"`))
	return w, c
}

// members are the texts of a list in an answer.
func (r *reply) members(list string) []string {
	parts := strings.Split(r.field(list), "<member>")
	for i := range parts {
		parts[i], _, _ = strings.Cut(parts[i], "</member>")
	}
	return parts[1:]
}

// TestContextKeys: whoever is about to simulate learns what conditions and variables ask for:
// of texts, and of all that a principal has.
func TestContextKeys(t *testing.T) {
	w, c := newSimulated(t)
	for _, tc := range []struct {
		of   string
		with []string
		want []string
	}{
		{"", []string{letting(`"Resource":"arn:aws:s3:::b/${AWS:username}"`), asking("aws:UserName"), asking("aws:SourceVpc")}, []string{"aws:SourceVpc", "AWS:username"}},
		{"", []string{letting(`"Resource":"*"`)}, nil},
		{"user/math/ada", nil, []string{"aws:PrincipalTag/team", "aws:username", "s3:prefix"}},
		{"user/math/ada", []string{asking("aws:Referer")}, []string{"aws:PrincipalTag/team", "aws:Referer", "aws:username", "s3:prefix"}},
		{"group/crew", nil, []string{"s3:prefix"}},
		{"role/job", nil, []string{"aws:PrincipalArn"}},
	} {
		action, form := "GetContextKeysForCustomPolicy", []string(nil)
		if tc.of != "" {
			action, form = "GetContextKeysForPrincipalPolicy", []string{"PolicySourceArn", vaultARN + tc.of}
		}
		for i, text := range tc.with {
			form = append(form, fmt.Sprint("PolicyInputList.member.", i+1), text)
		}
		if got := w.vault(c, "iam", action, form...).members("ContextKeyNames"); !slices.Equal(got, tc.want) {
			t.Errorf("%s with %q: %q, want %q", tc.of, tc.with, got, tc.want)
		}
	}
	for _, tc := range []struct {
		action, name, value, want string
	}{
		{"GetContextKeysForCustomPolicy", "PolicyInputList.member.2", asking("aws:Referer"), "ValidationError"},
		{"GetContextKeysForCustomPolicy", "PolicyInputList.member.1", "{}", "MalformedPolicyDocument"},
		{"GetContextKeysForPrincipalPolicy", "PolicySourceArn", vaultARN + "user/ada", "NoSuchEntity"},
	} {
		if got := w.send(w.call(c, "iam", tc.action, tc.name, tc.value)); got.code() != tc.want {
			t.Errorf("%s of %s: %v, want %s", tc.action, tc.value, got, tc.want)
		}
	}
}

// TestSimulation: a user is simulated by its name and tags, a role as a role, and a group as
// nobody of its account. What the policies ask for and nobody supplied is told.
func TestSimulation(t *testing.T) {
	w, c := newSimulated(t)
	home, other, role := "arn:aws:s3:::home/ada/x", "arn:aws:s3:::home/bob/x", "arn:aws:s3:::"+vaultARN+"role/job"
	const ip, untagged, prefix = "aws:SourceIp=x", "aws:PrincipalTag/TEAM=y", "s3:prefix=x"
	for _, tc := range []struct {
		of, resource string
		entries      []string // key=value; without a value it has none
		given        []string // policies; bounds is a boundary
		bounds       string
		want         string
		missing      []string
	}{
		{"user/math/ada", other, nil, nil, "", "implicitDeny", []string{"aws:SourceIp", "s3:prefix"}},
		{"user/math/ada", other, []string{ip}, nil, "", "allowed", []string{"s3:prefix"}},
		{"user/math/ada", other, []string{ip, untagged}, nil, "", "implicitDeny", []string{"s3:prefix"}},
		{"user/math/ada", other, []string{ip, untagged, prefix}, nil, "", "allowed", nil},
		{"user/math/ada", home, []string{ip, untagged}, nil, "", "allowed", []string{"s3:prefix"}},
		{"user/math/ada", home, []string{ip, untagged, "aws:username"}, nil, "", "implicitDeny", []string{"aws:username", "s3:prefix"}},
		{"user/math/ada", home, nil, nil, letting(`"Resource":"*"`), "allowed", []string{"s3:prefix"}},
		{"user/math/ada", home, []string{ip}, nil, letting(`"Resource":"arn:aws:s3:::nowhere"`), "implicitDeny", []string{"s3:prefix"}},
		{"user/math/ada", home, []string{ip}, []string{asking("aws:userid"), asking("aws:PrincipalType"), asking("aws:PrincipalAccount"), asking("aws:PrincipalArn")}, "", "allowed", []string{"s3:prefix"}},
		{"role/job", role, nil, nil, "", "allowed", nil},
		{"role/job", "*", nil, []string{strings.Replace(asking("aws:PrincipalType"), `"x"`, `"AssumedRole"`, 1)}, "", "allowed", nil},
		{"role/job", role, nil, []string{asking("aws:username"), asking("aws:userid"), asking("aws:PrincipalAccount")}, "", "allowed", []string{"aws:userid", "aws:username"}},
		{"group/crew", "*", []string{prefix}, nil, "", "allowed", nil},
		{"group/crew", "*", nil, []string{asking("aws:PrincipalArn"), asking("aws:PrincipalAccount"), asking("aws:PrincipalType"), asking("aws:username")}, "", "implicitDeny",
			[]string{"aws:PrincipalArn", "aws:PrincipalType", "aws:username", "s3:prefix"}},
		{"", "*", nil, []string{letting(`"Resource":["*","arn:aws:s3:::${aws:username}"]`), asking("aws:PrincipalAccount")}, "", "allowed", []string{"aws:PrincipalAccount", "aws:username"}},
	} {
		action, form := "SimulateCustomPolicy", []string{"ActionNames.member.1", "s3:GetObject", "ResourceArns.member.1", tc.resource}
		if tc.of != "" {
			action, form = "SimulatePrincipalPolicy", append(form, "PolicySourceArn", vaultARN+tc.of)
		}
		for i, e := range tc.entries {
			entry := fmt.Sprint("ContextEntries.member.", i+1)
			key, value, ok := strings.Cut(e, "=")
			if form = append(form, entry+".ContextKeyName", key); ok {
				form = append(form, entry+".ContextKeyValues.member.1", value)
			}
		}
		for i, text := range tc.given {
			form = append(form, fmt.Sprint("PolicyInputList.member.", i+1), text)
		}
		if tc.bounds != "" {
			form = append(form, "PermissionsBoundaryPolicyInputList.member.1", tc.bounds)
		}
		got := w.vault(c, "iam", action, form...)
		if d, m := got.field("EvalDecision"), got.members("MissingContextValues"); d != tc.want || !slices.Equal(m, tc.missing) {
			t.Errorf("%s on %s with %q, %q, %q: %s without %q, want %s without %q", tc.of, tc.resource, tc.entries, tc.given, tc.bounds, d, m, tc.want, tc.missing)
		}
	}
	// What a simulation would ignore makes it wrong.
	for _, ignored := range []string{"CallerArn", "ResourcePolicy", "PolicyExclusionList.member.1.Arn"} {
		r := w.call(c, "iam", "SimulatePrincipalPolicy", "PolicySourceArn", vaultARN+"role/job", "ActionNames.member.1", "s3:GetObject", ignored, "x")
		if got := w.send(r); got.code() != "InvalidInput" {
			t.Errorf("%s: %v", ignored, got)
		}
	}
	// Each of many answers would name each of many keys.
	var variables strings.Builder
	for i := range 101 {
		fmt.Fprintf(&variables, "${s3:k%d}", i)
	}
	form := []string{"PolicyInputList.member.1", letting(`"Resource":"arn:aws:s3:::` + variables.String() + `"`)}
	for i := range 1000 {
		form = append(form, fmt.Sprint("ActionNames.member.", i+1), "s3:GetObject")
	}
	if got := w.send(w.call(c, "iam", "SimulateCustomPolicy", form...)); got.code() != "InvalidInput" {
		t.Errorf("an answer of %d bytes", len(got.body))
	}
}
