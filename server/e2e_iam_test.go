package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"ironman/server"
)

// vaultRun is the vault as Amazon's SDK sees it, as one caller.
type vaultRun struct {
	*testing.T
	p    *process
	ctx  context.Context
	cred aws.CredentialsProvider
	iam  *iam.Client
	sts  *sts.Client
	s3   *s3.Client
}

// vault gives the clients of a caller.
func (p *process) vault(t *testing.T, cred aws.CredentialsProvider) *vaultRun {
	p.client() // makes the transport
	h := &http.Client{Transport: p.transport}
	return &vaultRun{
		T: t, p: p, ctx: t.Context(), cred: cred, s3: newAWS(p, cred),
		iam: iam.New(iam.Options{Region: region, BaseEndpoint: aws.String(p.endpoint), Credentials: cred, HTTPClient: h, RetryMaxAttempts: 1}),
		sts: sts.New(sts.Options{Region: region, BaseEndpoint: aws.String(p.endpoint), Credentials: cred, HTTPClient: h, RetryMaxAttempts: 1}),
	}
}

func (v *vaultRun) ok(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

// want checks code and status of a refusal.
func (v *vaultRun) want(code string, status int, err error) {
	v.Helper()
	var api smithy.APIError
	var answered interface{ HTTPStatusCode() int }
	if !errors.As(err, &api) || !errors.As(err, &answered) || api.ErrorCode() != code || answered.HTTPStatusCode() != status {
		v.Errorf("%v, want %s %d", err, code, status)
	}
}

// user makes a user with a key and gives its clients.
func (v *vaultRun) user(name string) *vaultRun {
	v.Helper()
	_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: &name})
	v.ok(err)
	out, err := v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{UserName: &name})
	v.ok(err)
	return v.p.vault(v.T, credentials.NewStaticCredentialsProvider(*out.AccessKey.AccessKeyId, *out.AccessKey.SecretAccessKey, ""))
}

// let gives a user an inline policy that allows actions on resources.
func (v *vaultRun) let(user, name string, actions, resources []string) {
	v.Helper()
	_, err := v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: &user, PolicyName: &name, PolicyDocument: aws.String(allowing(actions, resources))})
	v.ok(err)
}

func allowing(actions, resources []string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["%s"],"Resource":["%s"]}]}`,
		strings.Join(actions, `","`), strings.Join(resources, `","`))
}

const trustRoot = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}]}`

// tenant makes an account by the command line and gives the clients of its root key.
func (p *process) tenant(t *testing.T, name string) (*vaultRun, string) {
	var made struct {
		server.AccountState
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	p.ask(&made, "account", "create", name, "--email", name+"@example.com")
	return p.vault(t, credentials.NewStaticCredentialsProvider(made.AccessKey, made.SecretKey, "")), made.Account
}

// TestIAM walks through the API with Amazon's SDK, one noun after the other.
func TestIAM(t *testing.T) {
	p := newProcess(t)
	p.start()
	root, account := p.tenant(t, "acme")
	for _, part := range []struct {
		name string
		run  func(*vaultRun, string)
	}{
		{"users", (*vaultRun).users}, {"keys", (*vaultRun).keys}, {"groups", (*vaultRun).groups}, {"inline", (*vaultRun).inline},
		{"managed", (*vaultRun).managed}, {"roles", (*vaultRun).roles}, {"boundaries", (*vaultRun).boundaries}, {"data", (*vaultRun).data},
		{"whole", (*vaultRun).whole}, {"simulate", (*vaultRun).simulate}, {"malformed", (*vaultRun).malformed}, {"accounts", (*vaultRun).accounts},
	} {
		t.Run(part.name, func(t *testing.T) {
			v := *root
			v.T, v.ctx = t, t.Context()
			part.run(&v, account)
		})
	}
	status := p.status()
	p.stop()
	checkReplay(t, p.dir, status)
}

func (v *vaultRun) users(account string) {
	self, err := v.iam.GetUser(v.ctx, &iam.GetUserInput{})
	v.ok(err)
	if *self.User.Arn != "arn:aws:iam::"+account+":root" {
		v.Errorf("who is the account? %s", *self.User.Arn)
	}
	made, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("Ada"), Path: aws.String("/math/"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v w")}}})
	v.ok(err)
	if *made.User.Arn != "arn:aws:iam::"+account+":user/math/Ada" || len(*made.User.UserId) != 20 || made.User.CreateDate.Year() < 2020 {
		v.Errorf("made %+v", made.User)
	}
	_, err = v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("aDA")})
	v.want("EntityAlreadyExists", 409, err)
	got, err := v.iam.GetUser(v.ctx, &iam.GetUserInput{UserName: aws.String("ADA")})
	v.ok(err)
	if *got.User.UserId != *made.User.UserId || len(got.User.Tags) != 1 || *got.User.Tags[0].Value != "v w" || !got.User.CreateDate.Equal(*made.User.CreateDate) {
		v.Errorf("got %+v", got.User)
	}
	for _, name := range []string{"d", "B", "c"} {
		_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: &name, Path: aws.String("/list/")})
		v.ok(err)
	}
	for _, max := range []int32{1, 2, 100} {
		var names []string
		pages := iam.NewListUsersPaginator(v.iam, &iam.ListUsersInput{PathPrefix: aws.String("/list/"), MaxItems: &max})
		for pages.HasMorePages() {
			page, err := pages.NextPage(v.ctx)
			v.ok(err)
			for _, u := range page.Users {
				names = append(names, *u.UserName)
			}
		}
		if !slices.Equal(names, []string{"B", "c", "d"}) {
			v.Errorf("by %d: %v", max, names)
		}
	}
	_, err = v.iam.UpdateUser(v.ctx, &iam.UpdateUserInput{UserName: aws.String("Ada"), NewUserName: aws.String("Lovelace"), NewPath: aws.String("/x/")})
	v.ok(err)
	_, err = v.iam.GetUser(v.ctx, &iam.GetUserInput{UserName: aws.String("Ada")})
	v.want("NoSuchEntity", 404, err)
	got, err = v.iam.GetUser(v.ctx, &iam.GetUserInput{UserName: aws.String("Lovelace")})
	v.ok(err)
	if *got.User.UserId != *made.User.UserId || *got.User.Path != "/x/" || len(got.User.Tags) != 1 {
		v.Errorf("renamed %+v", got.User)
	}
	_, err = v.iam.TagUser(v.ctx, &iam.TagUserInput{UserName: aws.String("Lovelace"), Tags: []types.Tag{{Key: aws.String("l"), Value: aws.String("")}}})
	v.ok(err)
	_, err = v.iam.UntagUser(v.ctx, &iam.UntagUserInput{UserName: aws.String("Lovelace"), TagKeys: []string{"k"}})
	v.ok(err)
	tags, err := v.iam.ListUserTags(v.ctx, &iam.ListUserTagsInput{UserName: aws.String("Lovelace")})
	v.ok(err)
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "l" {
		v.Errorf("tags %v", tags.Tags)
	}
	for _, name := range []string{"Lovelace", "b", "c", "d"} {
		_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: &name})
		v.ok(err)
	}
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: aws.String("d")})
	v.want("NoSuchEntity", 404, err)
}

func (v *vaultRun) keys(string) {
	v.user("keys")
	name := aws.String("keys")
	_, err := v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{UserName: name})
	v.ok(err)
	_, err = v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{UserName: name})
	v.want("LimitExceeded", 409, err)
	list, err := v.iam.ListAccessKeys(v.ctx, &iam.ListAccessKeysInput{UserName: name})
	v.ok(err)
	if len(list.AccessKeyMetadata) != 2 {
		v.Fatalf("keys %v", list.AccessKeyMetadata)
	}
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: name})
	v.want("DeleteConflict", 409, err)
	for _, k := range list.AccessKeyMetadata {
		_, err = v.iam.UpdateAccessKey(v.ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId, Status: types.StatusTypeInactive})
		v.ok(err)
		_, err = v.iam.DeleteAccessKey(v.ctx, &iam.DeleteAccessKeyInput{AccessKeyId: k.AccessKeyId})
		v.want("NoSuchEntity", 404, err) // not the account's own
		used, err := v.iam.GetAccessKeyLastUsed(v.ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: k.AccessKeyId})
		v.ok(err)
		if *used.UserName != "keys" || *used.AccessKeyLastUsed.ServiceName != "N/A" {
			v.Errorf("used %+v", used)
		}
		_, err = v.iam.DeleteAccessKey(v.ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId})
		v.ok(err)
	}
	own, err := v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{})
	v.ok(err)
	second := v.p.vault(v.T, credentials.NewStaticCredentialsProvider(*own.AccessKey.AccessKeyId, *own.AccessKey.SecretAccessKey, ""))
	_, err = second.iam.ListUsers(v.ctx, &iam.ListUsersInput{})
	v.ok(err)
	_, err = v.iam.UpdateAccessKey(v.ctx, &iam.UpdateAccessKeyInput{AccessKeyId: own.AccessKey.AccessKeyId, Status: types.StatusTypeInactive})
	v.ok(err)
	_, err = second.iam.ListUsers(v.ctx, &iam.ListUsersInput{})
	v.want("InvalidClientTokenId", 403, err)
	_, err = v.iam.DeleteAccessKey(v.ctx, &iam.DeleteAccessKeyInput{AccessKeyId: own.AccessKey.AccessKeyId})
	v.ok(err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: name})
	v.ok(err)
}

func (v *vaultRun) groups(account string) {
	_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("member")})
	v.ok(err)
	g, u := aws.String("Crew"), aws.String("member")
	made, err := v.iam.CreateGroup(v.ctx, &iam.CreateGroupInput{GroupName: g, Path: aws.String("/g/")})
	v.ok(err)
	if *made.Group.Arn != "arn:aws:iam::"+account+":group/g/Crew" {
		v.Errorf("made %v", *made.Group.Arn)
	}
	_, err = v.iam.AddUserToGroup(v.ctx, &iam.AddUserToGroupInput{GroupName: g, UserName: u})
	v.ok(err)
	_, err = v.iam.AddUserToGroup(v.ctx, &iam.AddUserToGroupInput{GroupName: g, UserName: aws.String("nobody")})
	v.want("NoSuchEntity", 404, err)
	_, err = v.iam.UpdateGroup(v.ctx, &iam.UpdateGroupInput{GroupName: g, NewGroupName: aws.String("Team")})
	v.ok(err)
	g = aws.String("team")
	got, err := v.iam.GetGroup(v.ctx, &iam.GetGroupInput{GroupName: g})
	v.ok(err)
	if len(got.Users) != 1 || *got.Users[0].UserName != "member" || *got.Group.GroupName != "Team" {
		v.Errorf("got %+v", got)
	}
	of, err := v.iam.ListGroupsForUser(v.ctx, &iam.ListGroupsForUserInput{UserName: u})
	v.ok(err)
	if len(of.Groups) != 1 || *of.Groups[0].GroupId != *made.Group.GroupId {
		v.Errorf("of %+v", of.Groups)
	}
	_, err = v.iam.DeleteGroup(v.ctx, &iam.DeleteGroupInput{GroupName: g})
	v.want("DeleteConflict", 409, err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: u})
	v.want("DeleteConflict", 409, err)
	_, err = v.iam.RemoveUserFromGroup(v.ctx, &iam.RemoveUserFromGroupInput{GroupName: g, UserName: u})
	v.ok(err)
	_, err = v.iam.DeleteGroup(v.ctx, &iam.DeleteGroupInput{GroupName: g})
	v.ok(err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: u})
	v.ok(err)
}

func (v *vaultRun) inline(string) {
	u, name := aws.String("inline"), aws.String("List")
	_, err := v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: name, PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	v.want("NoSuchEntity", 404, err)
	_, err = v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: u})
	v.ok(err)
	text := "{\n  \"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"s3:ListBucket\", \"Resource\": \"arn:aws:s3:::a+b%20c\"}]}"
	_, err = v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: name, PolicyDocument: &text})
	v.ok(err)
	got, err := v.iam.GetUserPolicy(v.ctx, &iam.GetUserPolicyInput{UserName: u, PolicyName: name})
	v.ok(err)
	if plain, err := url.PathUnescape(*got.PolicyDocument); err != nil || plain != text {
		v.Errorf("got %q, %v", plain, err)
	}
	names, err := v.iam.ListUserPolicies(v.ctx, &iam.ListUserPoliciesInput{UserName: u})
	v.ok(err)
	if !slices.Equal(names.PolicyNames, []string{"List"}) {
		v.Errorf("names %v", names.PolicyNames)
	}
	big := allowing([]string{"s3:GetObject"}, []string{"arn:aws:s3:::" + strings.Repeat("x", 2100)})
	_, err = v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: aws.String("big"), PolicyDocument: &big})
	v.want("LimitExceeded", 409, err)
	_, err = v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: u, PolicyName: name, PolicyDocument: aws.String(`{"Statement":[]}`)})
	v.want("MalformedPolicyDocument", 400, err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: u})
	v.want("DeleteConflict", 409, err)
	_, err = v.iam.DeleteUserPolicy(v.ctx, &iam.DeleteUserPolicyInput{UserName: u, PolicyName: name})
	v.ok(err)
	_, err = v.iam.GetUserPolicy(v.ctx, &iam.GetUserPolicyInput{UserName: u, PolicyName: name})
	v.want("NoSuchEntity", 404, err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: u})
	v.ok(err)
}

func (v *vaultRun) managed(account string) {
	u := aws.String("managed")
	_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: u})
	v.ok(err)
	made, err := v.iam.CreatePolicy(v.ctx, &iam.CreatePolicyInput{
		PolicyName: aws.String("Readers"), Path: aws.String("/p/"), PolicyDocument: aws.String(allowing([]string{"s3:GetObject"}, []string{"*"})),
	})
	v.ok(err)
	arn := made.Policy.Arn
	if *arn != "arn:aws:iam::"+account+":policy/p/Readers" {
		v.Errorf("made %s", *arn)
	}
	for i := 2; i <= 5; i++ {
		version, err := v.iam.CreatePolicyVersion(v.ctx, &iam.CreatePolicyVersionInput{
			PolicyArn: arn, PolicyDocument: aws.String(allowing([]string{fmt.Sprintf("s3:Get%d*", i), "s3:GetObject"}, []string{"*"})), SetAsDefault: i == 3,
		})
		v.ok(err)
		if *version.PolicyVersion.VersionId != fmt.Sprint("v", i) {
			v.Errorf("version %s", *version.PolicyVersion.VersionId)
		}
	}
	_, err = v.iam.CreatePolicyVersion(v.ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	v.want("LimitExceeded", 409, err)
	got, err := v.iam.GetPolicy(v.ctx, &iam.GetPolicyInput{PolicyArn: arn})
	v.ok(err)
	if *got.Policy.DefaultVersionId != "v3" || *got.Policy.AttachmentCount != 0 {
		v.Errorf("got %+v", got.Policy)
	}
	version, err := v.iam.GetPolicyVersion(v.ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v5")})
	v.ok(err)
	if text, err := url.PathUnescape(*version.PolicyVersion.Document); err != nil || !strings.Contains(text, "s3:Get5*") {
		v.Errorf("version 5 is %s", text)
	}
	readOnly := aws.String("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
	for range 2 {
		for _, a := range []*string{arn, readOnly} {
			_, err = v.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: u, PolicyArn: a})
			v.ok(err)
		}
	}
	_, err = v.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: u, PolicyArn: aws.String("arn:aws:iam::aws:policy/NoSuchPolicy")})
	v.want("NoSuchEntity", 404, err)
	list, err := v.iam.ListAttachedUserPolicies(v.ctx, &iam.ListAttachedUserPoliciesInput{UserName: u})
	v.ok(err)
	if len(list.AttachedPolicies) != 2 {
		v.Errorf("attached %v", list.AttachedPolicies)
	}
	who, err := v.iam.ListEntitiesForPolicy(v.ctx, &iam.ListEntitiesForPolicyInput{PolicyArn: arn})
	v.ok(err)
	if len(who.PolicyUsers) != 1 || *who.PolicyUsers[0].UserName != "managed" {
		v.Errorf("entities %+v", who)
	}
	_, err = v.iam.DeletePolicy(v.ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	v.want("DeleteConflict", 409, err)
	_, err = v.iam.DeletePolicyVersion(v.ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v3")})
	v.want("DeleteConflict", 409, err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: u})
	v.want("DeleteConflict", 409, err)
	for _, a := range []*string{arn, readOnly} {
		_, err = v.iam.DetachUserPolicy(v.ctx, &iam.DetachUserPolicyInput{UserName: u, PolicyArn: a})
		v.ok(err)
		_, err = v.iam.DetachUserPolicy(v.ctx, &iam.DetachUserPolicyInput{UserName: u, PolicyArn: a})
		v.want("NoSuchEntity", 404, err)
	}
	v.policyTags(arn, readOnly)
	_, err = v.iam.SetDefaultPolicyVersion(v.ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")})
	v.ok(err)
	for i := 2; i <= 5; i++ {
		_, err = v.iam.DeletePolicyVersion(v.ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String(fmt.Sprint("v", i))})
		v.ok(err)
	}
	for _, max := range []int32{1, 3, 100} {
		own, all := 0, 0
		pages := iam.NewListPoliciesPaginator(v.iam, &iam.ListPoliciesInput{MaxItems: &max})
		for pages.HasMorePages() {
			page, err := pages.NextPage(v.ctx)
			v.ok(err)
			for _, p := range page.Policies {
				if strings.HasPrefix(*p.Arn, "arn:aws:iam::aws:") {
					all++
				} else {
					own++
				}
			}
		}
		if own != 1 || all != 6 {
			v.Errorf("by %d: %d own and %d of all", max, own, all)
		}
	}
	_, err = v.iam.DeletePolicy(v.ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	v.ok(err)
	_, err = v.iam.DeleteUser(v.ctx, &iam.DeleteUserInput{UserName: u})
	v.ok(err)
}

// policyTags sets and removes tags of a policy; those that every cluster has keep theirs.
func (v *vaultRun) policyTags(arn, builtin *string) {
	tag := func(arn *string, pairs ...string) error {
		in := &iam.TagPolicyInput{PolicyArn: arn}
		for i := 0; i < len(pairs); i += 2 {
			in.Tags = append(in.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		_, err := v.iam.TagPolicy(v.ctx, in)
		return err
	}
	before, err := v.iam.GetPolicy(v.ctx, &iam.GetPolicyInput{PolicyArn: arn})
	v.ok(err)
	v.ok(tag(arn, "Team", "blue", "l", ""))
	v.ok(tag(arn, "tEAM", "red"))
	got, err := v.iam.GetPolicy(v.ctx, &iam.GetPolicyInput{PolicyArn: arn})
	v.ok(err)
	if t := got.Policy.Tags; len(t) != 2 || *t[0].Key != "tEAM" || *t[0].Value != "red" || !got.Policy.UpdateDate.Equal(*before.Policy.UpdateDate) {
		v.Errorf("tagged: %+v", got.Policy)
	}
	_, err = v.iam.UntagPolicy(v.ctx, &iam.UntagPolicyInput{PolicyArn: arn, TagKeys: []string{"TEAM", "none"}})
	v.ok(err)
	list := func() []types.Tag {
		out, err := v.iam.ListPolicyTags(v.ctx, &iam.ListPolicyTagsInput{PolicyArn: arn})
		v.ok(err)
		return out.Tags
	}
	if t := list(); len(t) != 1 || *t[0].Key != "l" {
		v.Errorf("left: %v", t)
	}
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint("k", i), "v")
	}
	v.want("LimitExceeded", 409, tag(arn, many...))
	v.want("InvalidInput", 400, tag(arn, "a", "1", "A", "2"))
	v.want("AccessDenied", 403, tag(builtin, "a", "1"))
	v.want("NoSuchEntity", 404, tag(aws.String(*arn+"x"), "a", "1"))
	_, err = v.iam.UntagPolicy(v.ctx, &iam.UntagPolicyInput{PolicyArn: arn, TagKeys: []string{"l"}})
	v.ok(err)
	if t := list(); len(t) != 0 {
		v.Errorf("left: %v", t)
	}
}

func (v *vaultRun) roles(account string) {
	r := aws.String("Batch")
	made, err := v.iam.CreateRole(v.ctx, &iam.CreateRoleInput{
		RoleName: r, Path: aws.String("/r/"), AssumeRolePolicyDocument: aws.String(trustRoot), Description: aws.String("first"), MaxSessionDuration: aws.Int32(43200),
	})
	v.ok(err)
	if *made.Role.Arn != "arn:aws:iam::"+account+":role/r/Batch" {
		v.Errorf("made %s", *made.Role.Arn)
	}
	_, err = v.iam.CreateRole(v.ctx, &iam.CreateRoleInput{RoleName: aws.String("x"), AssumeRolePolicyDocument: aws.String(
		strings.ReplaceAll(trustRoot, `"*"`, `"arn:aws:iam::999999999999:root"`))})
	v.want("MalformedPolicyDocument", 400, err)
	_, err = v.iam.UpdateRole(v.ctx, &iam.UpdateRoleInput{RoleName: r, MaxSessionDuration: aws.Int32(7200)})
	v.ok(err)
	trust := strings.ReplaceAll(trustRoot, `"*"`, `"`+account+`"`)
	_, err = v.iam.UpdateAssumeRolePolicy(v.ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: r, PolicyDocument: &trust})
	v.ok(err)
	got, err := v.iam.GetRole(v.ctx, &iam.GetRoleInput{RoleName: aws.String("batch")})
	v.ok(err)
	text, _ := url.PathUnescape(*got.Role.AssumeRolePolicyDocument)
	if text != trust || *got.Role.Description != "first" || *got.Role.MaxSessionDuration != 7200 {
		v.Errorf("got %+v", got.Role)
	}
	_, err = v.iam.PutRolePolicy(v.ctx, &iam.PutRolePolicyInput{RoleName: r, PolicyName: aws.String("p"), PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	v.ok(err)
	_, err = v.iam.DeleteRole(v.ctx, &iam.DeleteRoleInput{RoleName: r})
	v.want("DeleteConflict", 409, err)
	_, err = v.iam.DeleteRolePolicy(v.ctx, &iam.DeleteRolePolicyInput{RoleName: r, PolicyName: aws.String("p")})
	v.ok(err)
	list, err := v.iam.ListRoles(v.ctx, &iam.ListRolesInput{PathPrefix: aws.String("/r/")})
	v.ok(err)
	if len(list.Roles) != 1 {
		v.Errorf("roles %v", list.Roles)
	}
	_, err = v.iam.DeleteRole(v.ctx, &iam.DeleteRoleInput{RoleName: r})
	v.ok(err)
}

func (v *vaultRun) boundaries(string) {
	bound := v.user("bound")
	v.let("bound", "all", []string{"*"}, []string{"*"})
	_, err := bound.iam.ListUsers(v.ctx, &iam.ListUsersInput{})
	v.ok(err)
	_, err = v.iam.PutUserPermissionsBoundary(v.ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("bound"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AmazonS3FullAccess")})
	v.ok(err)
	_, err = bound.iam.ListUsers(v.ctx, &iam.ListUsersInput{})
	v.want("AccessDenied", 403, err)
	_, err = bound.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.ok(err)
	got, err := v.iam.GetUser(v.ctx, &iam.GetUserInput{UserName: aws.String("bound")})
	v.ok(err)
	if b := got.User.PermissionsBoundary; b == nil || *b.PermissionsBoundaryArn != "arn:aws:iam::aws:policy/AmazonS3FullAccess" {
		v.Errorf("boundary %+v", b)
	}
	_, err = v.iam.DeleteUserPermissionsBoundary(v.ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("bound")})
	v.ok(err)
	_, err = bound.iam.ListUsers(v.ctx, &iam.ListUsersInput{})
	v.ok(err)
}

// data has users' policies decide on S3.
func (v *vaultRun) data(account string) {
	bucket := aws.String("vault-data")
	_, err := v.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: bucket})
	v.ok(err)
	put := func(c *s3.Client, key string) error {
		_, err := c.PutObject(v.ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x")})
		return err
	}
	v.ok(put(v.s3, "home/eve/a"))
	eve := v.user("eve")
	_, err = eve.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("AccessDenied", 403, err)
	v.want("AccessDenied", 403, put(eve.s3, "home/eve/b"))
	// By a group, with a variable for the user's name.
	_, err = v.iam.CreateGroup(v.ctx, &iam.CreateGroupInput{GroupName: aws.String("homes")})
	v.ok(err)
	_, err = v.iam.AddUserToGroup(v.ctx, &iam.AddUserToGroupInput{GroupName: aws.String("homes"), UserName: aws.String("eve")})
	v.ok(err)
	_, err = v.iam.PutGroupPolicy(v.ctx, &iam.PutGroupPolicyInput{GroupName: aws.String("homes"), PolicyName: aws.String("home"), PolicyDocument: aws.String(
		allowing([]string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}, []string{"arn:aws:s3:::vault-data/home/${aws:username}/*"}))})
	v.ok(err)
	v.ok(put(eve.s3, "home/eve/b"))
	v.want("AccessDenied", 403, put(eve.s3, "home/adam/b"))
	got, err := eve.s3.GetObject(v.ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("home/eve/a")})
	v.ok(err)
	_, _ = io.Copy(io.Discard, got.Body)
	got.Body.Close()
	_, err = eve.s3.ListObjectsV2(v.ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	v.want("AccessDenied", 403, err)
	// A denial of the user's own goes before what the group allows.
	_, err = v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: aws.String("eve"), PolicyName: aws.String("no"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:PutObject","Resource":"*"}}`)})
	v.ok(err)
	v.want("AccessDenied", 403, put(eve.s3, "home/eve/c"))
	// A bucket's policy may name the user.
	_, err = v.s3.PutBucketPolicy(v.ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:user/eve"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::vault-data"}}`)})
	v.ok(err)
	_, err = eve.s3.ListObjectsV2(v.ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	v.ok(err)
	// What a user makes is the account's.
	v.let("eve", "make", []string{"s3:CreateBucket", "s3:ListAllMyBuckets"}, []string{"arn:aws:s3:::*"})
	_, err = eve.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("eves")})
	v.ok(err)
	_, err = v.s3.DeleteBucket(v.ctx, &s3.DeleteBucketInput{Bucket: aws.String("eves")})
	v.ok(err)
	keys, err := v.iam.ListAccessKeys(v.ctx, &iam.ListAccessKeysInput{UserName: aws.String("eve")})
	v.ok(err)
	_, err = v.iam.UpdateAccessKey(v.ctx, &iam.UpdateAccessKeyInput{UserName: aws.String("eve"), AccessKeyId: keys.AccessKeyMetadata[0].AccessKeyId, Status: types.StatusTypeInactive})
	v.ok(err)
	_, err = eve.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("InvalidAccessKeyId", 403, err)
}

// whole reads what there is of the account, page by page.
func (v *vaultRun) whole(string) {
	summary, err := v.iam.GetAccountSummary(v.ctx, &iam.GetAccountSummaryInput{})
	v.ok(err)
	if summary.SummaryMap["Users"] != 2 || summary.SummaryMap["Groups"] != 1 || summary.SummaryMap["UsersQuota"] != 5000 {
		v.Errorf("summary %v", summary.SummaryMap)
	}
	for _, max := range []int32{1, 2, 1000} {
		users, groups, policies := 0, 0, 0
		pages := iam.NewGetAccountAuthorizationDetailsPaginator(v.iam, &iam.GetAccountAuthorizationDetailsInput{MaxItems: &max})
		for pages.HasMorePages() {
			page, err := pages.NextPage(v.ctx)
			v.ok(err)
			users, groups, policies = users+len(page.UserDetailList), groups+len(page.GroupDetailList), policies+len(page.Policies)
		}
		if users != 2 || groups != 1 || policies != 6 {
			v.Errorf("by %d: %d users, %d groups, %d policies", max, users, groups, policies)
		}
	}
}

func (v *vaultRun) simulate(account string) {
	out, err := v.iam.SimulatePrincipalPolicy(v.ctx, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::" + account + ":user/eve"), ActionNames: []string{"s3:GetObject", "s3:PutObject", "s3:DeleteBucket"},
		ResourceArns:    []string{"arn:aws:s3:::vault-data/home/eve/x"},
		ContextEntries:  []types.ContextEntry{{ContextKeyName: aws.String("s3:prefix"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{"x"}}},
		PolicyInputList: []string{allowing([]string{"s3:List*"}, []string{"arn:aws:s3:::${s3:prefix}/${aws:SourceIp}"})},
	})
	v.ok(err)
	var got []string
	for _, e := range out.EvaluationResults {
		got = append(got, string(e.EvalDecision))
		if !slices.Equal(e.MissingContextValues, []string{"aws:SourceIp"}) {
			v.Errorf("missing %q", e.MissingContextValues)
		}
	}
	if !slices.Equal(got, []string{"allowed", "explicitDeny", "implicitDeny"}) {
		v.Errorf("simulated %v", got)
	}
	custom, err := v.iam.SimulateCustomPolicy(v.ctx, &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{allowing([]string{"s3:Get*"}, []string{"*"})}, ActionNames: []string{"s3:GetObject"},
	})
	v.ok(err)
	if len(custom.EvaluationResults) != 1 || custom.EvaluationResults[0].EvalDecision != "allowed" {
		v.Errorf("simulated %+v", custom.EvaluationResults)
	}
	keys, err := v.iam.GetContextKeysForPrincipalPolicy(v.ctx, &iam.GetContextKeysForPrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::" + account + ":user/eve"), PolicyInputList: []string{allowing([]string{"s3:Get*"}, []string{"arn:aws:s3:::b/${aws:SourceIp}"})},
	})
	v.ok(err)
	if !slices.Equal(keys.ContextKeyNames, []string{"aws:SourceIp", "aws:username"}) {
		v.Errorf("keys %q", keys.ContextKeyNames)
	}
	given, err := v.iam.GetContextKeysForCustomPolicy(v.ctx, &iam.GetContextKeysForCustomPolicyInput{
		PolicyInputList: []string{allowing([]string{"s3:Get*"}, []string{"arn:aws:s3:::b/${aws:SourceIp}"})},
	})
	v.ok(err)
	if !slices.Equal(given.ContextKeyNames, []string{"aws:SourceIp"}) {
		v.Errorf("keys %q", given.ContextKeyNames)
	}
	// What a simulation would ignore makes it wrong.
	_, err = v.iam.SimulateCustomPolicy(v.ctx, &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{allowing([]string{"s3:Get*"}, []string{"*"})}, ActionNames: []string{"s3:GetObject"}, ResourcePolicy: aws.String(`{}`),
	})
	v.want("InvalidInput", 400, err)
}

// malformed sends what no SDK would.
func (v *vaultRun) malformed(string) {
	_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("no spaces")})
	v.want("ValidationError", 400, err)
	_, err = v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String(strings.Repeat("x", 65))})
	v.want("ValidationError", 400, err)
	_, err = v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("p"), Path: aws.String("no/slash")})
	v.want("ValidationError", 400, err)
	_, err = v.iam.ListUsers(v.ctx, &iam.ListUsersInput{Marker: aws.String("!")})
	v.want("ValidationError", 400, err)
	_, err = v.iam.ListSAMLProviders(v.ctx, &iam.ListSAMLProvidersInput{})
	v.want("InvalidAction", 400, err)
	for name, body := range map[string]string{
		"MissingAuthenticationToken": "Action=ListUsers&Version=2010-05-08", "MissingAction": "Version=2010-05-08",
		"MalformedQueryString": "Action=%zz", "RequestEntityTooLarge": "Action=ListUsers&x=" + strings.Repeat("x", 300_000),
	} {
		r, err := http.Post(v.p.endpoint+"/", "application/x-www-form-urlencoded; charset=utf-8", strings.NewReader(body))
		v.ok(err)
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if !strings.Contains(string(b), "<Code>"+name+"</Code>") || !strings.Contains(string(b), "<ErrorResponse xmlns=") {
			v.Errorf("%s: %s %s", name, r.Status, b)
		}
	}
}

// accounts asks the command line.
func (v *vaultRun) accounts(account string) {
	var list []server.AccountState
	v.p.ask(&list, "account", "list")
	i := slices.IndexFunc(list, func(a server.AccountState) bool { return a.Account == account })
	if len(list) != 2 || i < 0 || list[i].Name != "acme" || list[i].Users != 2 {
		v.Fatalf("accounts %+v", list)
	}
	other, number := v.p.tenant(v.T, "gone")
	var h server.Holding
	v.p.ask(&h, "quota", "set", "--account", number, "--size", "1MiB", "--objects", "3")
	if h.Account != number || *h.Quota.Bytes != 1<<20 || *h.Left.Objects != 3 {
		v.Errorf("a new account's quota: %+v", h)
	}
	_, err := other.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.ok(err)
	var none struct{}
	v.p.ask(&none, "account", "delete", number)
	_, err = other.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("InvalidAccessKeyId", 403, err)
	v.p.ask(&list, "account", "list")
	if len(list) != 2 {
		v.Errorf("accounts %+v", list)
	}
}
