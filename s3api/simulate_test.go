package s3api_test

import (
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
			form = append(form, "PolicyInputList.member."+string(rune('1'+i)), text)
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
