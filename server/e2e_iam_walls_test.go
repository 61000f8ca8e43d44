package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ironman/s3api/sig"
)

// TestIAMWalls: what a user may not do it may not do in other words either.
func TestIAMWalls(t *testing.T) {
	p := newProcess(t)
	p.start()
	root, account := p.tenant(t, "acme")
	root.user("target")
	for _, part := range []struct {
		name string
		run  func(*vaultRun, *vaultRun, string)
	}{
		{"boundary", (*vaultRun).wallOfBoundary}, {"spelling", (*vaultRun).wallOfSpelling}, {"tags", (*vaultRun).wallOfTags},
		{"federated", (*vaultRun).wallOfFederation}, {"creation", (*vaultRun).wallOfCreation},
		{"overtaken", (*vaultRun).overtaken},
	} {
		t.Run(part.name, func(t *testing.T) {
			v := root.on(t)
			part.run(v, v.user(part.name), account)
		})
	}
	p.stop()
}

// grant gives a user whatever the statements say.
func (v *vaultRun) grant(user string, statements ...string) {
	v.Helper()
	_, err := v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: &user, PolicyName: aws.String("grant"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)})
	v.ok(err)
}

// alsoSay adds a parameter to the form of a call before it is signed.
func alsoSay(parameter string) middleware.FinalizeMiddleware {
	return middleware.FinalizeMiddlewareFunc("AlsoSay", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		r, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, errors.New("not a request of HTTP")
		}
		form, err := io.ReadAll(r.GetStream())
		if err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, err
		}
		if in.Request, err = r.SetStream(strings.NewReader(string(form) + "&" + parameter)); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, err
		}
		return next.HandleFinalize(ctx, in)
	})
}

// wallOfBoundary: a condition on the boundary counts the one that the target has.
func (v *vaultRun) wallOfBoundary(by *vaultRun, _ string) {
	const boundary = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
	v.grant("boundary", `{"Effect":"Allow","Action":["iam:AttachUserPolicy","iam:PutUserPermissionsBoundary"],"Resource":"*","Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+boundary+`"}}}`)
	attach := func() error {
		_, err := by.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: aws.String("target"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
		return err
	}
	v.want("AccessDenied", 403, attach())
	_, err := by.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: aws.String("target"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")},
		func(o *iam.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Finalize.Insert(alsoSay("PermissionsBoundary="+boundary), "ComputePayloadHash", middleware.Before)
			})
		})
	v.want("AccessDenied", 403, err)
	_, err = by.iam.PutUserPermissionsBoundary(v.ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("target"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	v.want("AccessDenied", 403, err)
	_, err = by.iam.PutUserPermissionsBoundary(v.ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("target"), PermissionsBoundary: aws.String(boundary)})
	v.ok(err)
	v.ok(attach()) // the target has the boundary that the condition wants
}

func (v *vaultRun) wallOfSpelling(by *vaultRun, account string) {
	made, err := v.iam.CreatePolicy(v.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("Precious"), PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	v.ok(err)
	arn := *made.Policy.Arn
	v.grant("spelling", `{"Effect":"Allow","Action":["iam:*","sts:*"],"Resource":"*"}`, `{"Effect":"Deny","Action":"iam:*","Resource":"`+arn+`"}`)
	other := strings.Replace(arn, "Precious", "pRECIOUS", 1)
	for s, refusal := range map[string]struct {
		code   string
		status int
	}{arn: {"AccessDenied", 403}, other: {"NoSuchEntity", 404}} {
		_, err = by.iam.CreatePolicyVersion(v.ctx, &iam.CreatePolicyVersionInput{PolicyArn: &s, PolicyDocument: aws.String(allowing([]string{"*"}, []string{"*"}))})
		v.want(refusal.code, refusal.status, err)
	}
	_, err = by.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: aws.String("target"), PolicyArn: &other})
	v.want("NoSuchEntity", 404, err)
	role := v.role("spelled", "arn:aws:iam::"+account+":user/spelling", "")
	_, err = by.sts.AssumeRole(v.ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s1"), PolicyArns: []ststypes.PolicyDescriptorType{{Arn: &other}}})
	v.want("ValidationError", 400, err)
	_, err = by.iam.SimulatePrincipalPolicy(v.ctx, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String("arn:aws:iam::" + account + ":user/Target"), ActionNames: []string{"s3:GetObject"}})
	v.want("NoSuchEntity", 404, err)
}

func (v *vaultRun) wallOfTags(by *vaultRun, _ string) {
	team := types.Tag{Key: aws.String("team"), Value: aws.String("blue")}
	doc := aws.String(allowing([]string{"s3:*"}, []string{"*"}))
	create := func(tags ...types.Tag) map[string]error {
		_, user := by.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("made"), Tags: tags})
		_, role := by.iam.CreateRole(v.ctx, &iam.CreateRoleInput{RoleName: aws.String("made"), AssumeRolePolicyDocument: aws.String(trustRoot), Tags: tags})
		_, managed := by.iam.CreatePolicy(v.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("made"), PolicyDocument: doc, Tags: tags})
		return map[string]error{"user": user, "role": role, "policy": managed}
	}
	const all = `{"Effect":"Allow","Action":["iam:Create*","sts:GetFederationToken"],"Resource":"*"}`
	federate := func() error {
		_, err := by.sts.GetFederationToken(v.ctx, &sts.GetFederationTokenInput{Name: aws.String("tagged"), Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
		return err
	}
	v.grant("tags", all)
	for _, err := range create(team) {
		v.want("AccessDenied", 403, err)
	}
	v.want("AccessDenied", 403, federate())
	v.grant("tags", all, `{"Effect":"Allow","Action":["iam:Tag*","sts:TagSession"],"Resource":"*"}`)
	for _, err := range create(team, types.Tag{Key: aws.String("TEAM"), Value: aws.String("red")}) {
		v.want("InvalidInput", 400, err)
	}
	for _, err := range create(team) {
		v.ok(err)
	}
	v.ok(federate())
	_, err := v.iam.TagUser(v.ctx, &iam.TagUserInput{UserName: aws.String("made"), Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("red")}}})
	v.ok(err)
	list, err := v.iam.ListUserTags(v.ctx, &iam.ListUserTagsInput{UserName: aws.String("made")})
	v.ok(err)
	if len(list.Tags) != 1 || *list.Tags[0].Value != "red" {
		v.Errorf("tags %v", list.Tags)
	}
	_, err = v.iam.UntagUser(v.ctx, &iam.UntagUserInput{UserName: aws.String("made"), TagKeys: []string{"tEAM"}})
	v.ok(err)
	if list, err = v.iam.ListUserTags(v.ctx, &iam.ListUserTagsInput{UserName: aws.String("made")}); err != nil || len(list.Tags) != 0 {
		v.Errorf("tags %v, %v", list, err)
	}
}

// A bucket's policy that denies a user denies whom the user vouches for.
func (v *vaultRun) wallOfFederation(by *vaultRun, account string) {
	v.grant("federated", `{"Effect":"Allow","Action":["s3:*","sts:*"],"Resource":"*"}`)
	out, err := by.sts.GetFederationToken(v.ctx, &sts.GetFederationTokenInput{Name: aws.String("visitor"), Policy: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	v.ok(err)
	s := v.session(out.Credentials)
	bucket := aws.String("walled")
	_, err = v.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: bucket})
	v.ok(err)
	_, err = s.s3.ListObjectsV2(v.ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	v.ok(err)
	_, err = v.s3.PutBucketPolicy(v.ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(string(rules(
		rule("Deny", `{"AWS":"arn:aws:iam::`+account+`:user/federated"}`, "s3:ListBucket", "walled", ""))))})
	v.ok(err)
	for _, c := range []*vaultRun{by, s} {
		_, err = c.s3.ListObjectsV2(v.ctx, &s3.ListObjectsV2Input{Bucket: bucket})
		v.want("AccessDenied", 403, err)
	}
}

// What a bucket is to have from the beginning takes the rights to set it later.
func (v *vaultRun) wallOfCreation(by *vaultRun, _ string) {
	for name, tc := range map[string]struct {
		in      s3.CreateBucketInput
		actions []string
	}{
		"plain":     {s3.CreateBucketInput{ACL: s3types.BucketCannedACLPrivate}, nil},
		"acl":       {s3.CreateBucketInput{ACL: s3types.BucketCannedACLPublicRead}, []string{"s3:PutBucketAcl"}},
		"grant":     {s3.CreateBucketInput{GrantRead: aws.String(`uri="http://acs.amazonaws.com/groups/global/AllUsers"`)}, []string{"s3:PutBucketAcl"}},
		"ownership": {s3.CreateBucketInput{ObjectOwnership: s3types.ObjectOwnershipBucketOwnerEnforced}, []string{"s3:PutBucketOwnershipControls"}},
		"lock":      {s3.CreateBucketInput{ObjectLockEnabledForBucket: aws.Bool(true)}, []string{"s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"}},
	} {
		in := tc.in
		in.Bucket = aws.String("walled-" + name)
		let := []string{"s3:CreateBucket"}
		for _, action := range tc.actions {
			v.grant("creation", `{"Effect":"Allow","Action":["`+strings.Join(let, `","`)+`"],"Resource":"*"}`)
			_, err := by.s3.CreateBucket(v.ctx, &in)
			v.want("AccessDenied", 403, err)
			let = append(let, action)
		}
		v.grant("creation", `{"Effect":"Allow","Action":["`+strings.Join(let, `","`)+`"],"Resource":"*"}`)
		if _, err := by.s3.CreateBucket(v.ctx, &in); err != nil {
			v.Errorf("%s: %v", name, err)
		}
	}
	v.grant("creation", `{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*","Condition":{"StringEquals":{"s3:LocationConstraint":"`+region+`"}}}`)
	body := []byte(`<CreateBucketConfiguration><LocationConstraint>` + region + `</LocationConstraint></CreateBucketConfiguration>`)
	c := v.p.client()
	keys, err := by.cred.Retrieve(v.ctx)
	v.ok(err)
	c.cred = sig.Credential{AccessKey: keys.AccessKeyID, Secret: sig.NewSecret(keys.SecretAccessKey)}
	c.refused(v, http.StatusForbidden, "AccessDenied", "PUT", "/walled-nowhere", nil)
	c.must(v, http.StatusOK, "PUT", "/walled-somewhere", body)
}

// overtaken: of changes of one user, or policy, at one time none undoes another.
func (v *vaultRun) overtaken(_ *vaultRun, _ string) {
	made, err := v.iam.CreatePolicy(v.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("overtaken"), PolicyDocument: aws.String(allowing([]string{"s3:GetObject"}, []string{"*"}))})
	v.ok(err)
	arn, user := made.Policy.Arn, aws.String("overtaken")
	const writers = 6
	done := make(chan error, 2*writers)
	for i := range writers {
		tags := []types.Tag{{Key: aws.String("k" + strconv.Itoa(i)), Value: aws.String("v")}}
		go func() {
			_, err := v.iam.TagUser(v.ctx, &iam.TagUserInput{UserName: user, Tags: tags})
			done <- err
		}()
		go func() {
			_, err := v.iam.TagPolicy(v.ctx, &iam.TagPolicyInput{PolicyArn: arn, Tags: tags})
			done <- err
		}()
	}
	for range 2 * writers {
		if err := <-done; err != nil {
			v.Error(err)
		}
	}
	ofUser, err := v.iam.ListUserTags(v.ctx, &iam.ListUserTagsInput{UserName: user})
	v.ok(err)
	ofPolicy, err := v.iam.ListPolicyTags(v.ctx, &iam.ListPolicyTagsInput{PolicyArn: arn})
	v.ok(err)
	if u, p := len(ofUser.Tags), len(ofPolicy.Tags); u != writers || p != writers {
		v.Errorf("%d tags of the user and %d of the policy are left of %d", u, p, writers)
	}
}
