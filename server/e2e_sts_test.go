package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// session gives the clients of temporary credentials.
func (v *vaultRun) session(c *types.Credentials) *vaultRun {
	return v.p.vault(v.T, credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
}

// who asks GetCallerIdentity.
func (v *vaultRun) who() string {
	v.Helper()
	out, err := v.sts.GetCallerIdentity(v.ctx, &sts.GetCallerIdentityInput{})
	v.ok(err)
	return *out.Arn
}

// role makes a role that the principal may assume and that may do all with S3.
func (v *vaultRun) role(name, principal, condition string) string {
	v.Helper()
	out, err := v.iam.CreateRole(v.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Principal":{"AWS":"` + principal + `"}` + condition + `}]}`)})
	v.ok(err)
	_, err = v.iam.PutRolePolicy(v.ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("s3"), PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	v.ok(err)
	return *out.Role.Arn
}

// TestSTS begins sessions of every kind and ends them.
func TestSTS(t *testing.T) {
	p := newProcess(t)
	p.start()
	root, account := p.tenant(t, "acme")
	other, _ := p.tenant(t, "other")
	user := root.user("ada")
	if user.who() != "arn:aws:iam::"+account+":user/ada" || root.who() != "arn:aws:iam::"+account+":root" {
		t.Errorf("%s, %s", user.who(), root.who())
	}
	t.Run("role", func(t *testing.T) { root.assume(t, user, account) })
	t.Run("narrowed", func(t *testing.T) { root.narrowed(t, user) })
	t.Run("accounts", func(t *testing.T) { root.across(t, other) })
	t.Run("token", func(t *testing.T) { root.ownToken(t, user) })
	t.Run("federated", func(t *testing.T) { root.federated(t, user, account) })
	p.stop()
}

func (v *vaultRun) on(t *testing.T) *vaultRun {
	c := *v
	c.T, c.ctx = t, t.Context()
	return &c
}

func (v *vaultRun) assume(t *testing.T, user *vaultRun, account string) {
	v, user = v.on(t), user.on(t)
	arn := v.role("worker", "arn:aws:iam::"+account+":user/ada", `,"Condition":{"StringEquals":{"sts:ExternalId":"secret handshake"}}`)
	in := &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("job-1"), ExternalId: aws.String("secret handshake")}
	out, err := user.sts.AssumeRole(v.ctx, in)
	v.ok(err)
	s := v.session(out.Credentials)
	if want := "arn:aws:sts::" + account + ":assumed-role/worker/job-1"; s.who() != want || *out.AssumedRoleUser.Arn != want || !strings.HasPrefix(*out.Credentials.AccessKeyId, "ASIA") {
		v.Errorf("%s, %+v", s.who(), out.AssumedRoleUser)
	}
	_, err = s.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("by-role")})
	v.ok(err)
	_, err = s.s3.PutObject(v.ctx, &s3.PutObjectInput{Bucket: aws.String("by-role"), Key: aws.String("k"), Body: strings.NewReader("x")})
	v.ok(err)
	url, err := s3.NewPresignClient(s.s3).PresignGetObject(v.ctx, &s3.GetObjectInput{Bucket: aws.String("by-role"), Key: aws.String("k")})
	v.ok(err)
	if r, err := http.Get(url.URL); err != nil || r.StatusCode != 200 {
		v.Errorf("presigned by a session: %v, %v", r, err)
	} else {
		r.Body.Close()
	}
	_, err = s.iam.GetRole(v.ctx, &iam.GetRoleInput{RoleName: aws.String("worker")})
	v.want("AccessDenied", 403, err)
	_, err = s.sts.GetSessionToken(v.ctx, &sts.GetSessionTokenInput{})
	v.want("AccessDenied", 403, err)

	for name, change := range map[string]func(*sts.AssumeRoleInput){
		"no external id":    func(in *sts.AssumeRoleInput) { in.ExternalId = nil },
		"wrong external id": func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("guess") },
		"no such role":      func(in *sts.AssumeRoleInput) { in.RoleArn = aws.String(arn + "x") },
	} {
		bad := *in
		change(&bad)
		_, err = user.sts.AssumeRole(v.ctx, &bad)
		if err == nil {
			v.Error(name, "was let")
		}
		v.want("AccessDenied", 403, err)
	}
	_, err = v.sts.AssumeRole(v.ctx, in)
	v.want("AccessDenied", 403, err) // an account itself assumes no role
	for _, seconds := range []int32{899, 3601} {
		bad := *in
		bad.DurationSeconds = &seconds
		_, err = user.sts.AssumeRole(v.ctx, &bad)
		v.want("ValidationError", 400, err)
	}
	// What the role may not, its sessions may not; without the role there are none.
	_, err = v.iam.DeleteRolePolicy(v.ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("worker"), PolicyName: aws.String("s3")})
	v.ok(err)
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("AccessDenied", 403, err)
	_, err = v.iam.DeleteRole(v.ctx, &iam.DeleteRoleInput{RoleName: aws.String("worker")})
	v.ok(err)
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("InvalidAccessKeyId", 403, err)
	v.role("worker", "arn:aws:iam::"+account+":user/ada", "") // of the same name, and another
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("InvalidAccessKeyId", 403, err)
}

func (v *vaultRun) narrowed(t *testing.T, user *vaultRun) {
	v, user = v.on(t), user.on(t)
	arn := v.role("narrow", user.who(), "")
	_, err := v.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("narrow")})
	v.ok(err)
	out, err := user.sts.AssumeRole(v.ctx, &sts.AssumeRoleInput{
		RoleArn: &arn, RoleSessionName: aws.String("n1"), Policy: aws.String(allowing([]string{"s3:PutObject", "iam:*"}, []string{"*"})),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}},
	})
	v.ok(err)
	s := v.session(out.Credentials)
	_, err = s.s3.PutObject(v.ctx, &s3.PutObjectInput{Bucket: aws.String("narrow"), Key: aws.String("k"), Body: strings.NewReader("x")})
	v.ok(err)
	_, err = s.s3.GetObject(v.ctx, &s3.GetObjectInput{Bucket: aws.String("narrow"), Key: aws.String("k")})
	v.want("AccessDenied", 403, err)
	_, err = s.iam.ListUsers(v.ctx, &iam.ListUsersInput{}) // the session's policy alone gives nothing
	v.want("AccessDenied", 403, err)
	// The tags of a session decide where a policy asks for them.
	_, err = v.iam.PutRolePolicy(v.ctx, &iam.PutRolePolicyInput{RoleName: aws.String("narrow"), PolicyName: aws.String("s3"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}}`)})
	v.ok(err)
	_, err = s.s3.PutObject(v.ctx, &s3.PutObjectInput{Bucket: aws.String("narrow"), Key: aws.String("k"), Body: strings.NewReader("x")})
	v.want("AccessDenied", 403, err)
	_, err = user.sts.AssumeRole(v.ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("n2"), Policy: aws.String("{}")})
	v.want("MalformedPolicyDocument", 400, err)
}

// across: another account's user needs the leave of both accounts.
func (v *vaultRun) across(t *testing.T, other *vaultRun) {
	v, other = v.on(t), other.on(t)
	guest := other.user("guest")
	arn := v.role("open", guest.who(), "")
	in := &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("visit")}
	_, err := guest.sts.AssumeRole(v.ctx, in)
	v.want("AccessDenied", 403, err)
	other.let("guest", "visit", []string{"sts:AssumeRole"}, []string{arn})
	out, err := guest.sts.AssumeRole(v.ctx, in)
	v.ok(err)
	s := v.session(out.Credentials)
	_, err = s.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("of-the-role")})
	v.ok(err)
	_, err = v.s3.DeleteBucket(v.ctx, &s3.DeleteBucketInput{Bucket: aws.String("of-the-role")}) // it is the role's account's
	v.ok(err)
	_, err = v.iam.UpdateAssumeRolePolicy(v.ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("open"), PolicyDocument: aws.String(
		strings.ReplaceAll(trustRoot, `"*"`, `"`+v.who()+`"`))})
	v.ok(err)
	_, err = guest.sts.AssumeRole(v.ctx, in)
	v.want("AccessDenied", 403, err)
}

func (v *vaultRun) ownToken(t *testing.T, user *vaultRun) {
	v, user = v.on(t), user.on(t)
	v.let("ada", "s3", []string{"s3:*", "iam:*"}, []string{"*"})
	out, err := user.sts.GetSessionToken(v.ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
	v.ok(err)
	s := v.session(out.Credentials)
	if s.who() != user.who() {
		v.Errorf("%s is not %s", s.who(), user.who())
	}
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.ok(err)
	_, err = s.iam.ListUsers(v.ctx, &iam.ListUsersInput{})
	v.want("AccessDenied", 403, err)
	// The key goes, and its sessions with it.
	cred, err := user.cred.Retrieve(v.ctx)
	v.ok(err)
	status := func(to iamtypes.StatusType) {
		_, err := v.iam.UpdateAccessKey(v.ctx, &iam.UpdateAccessKeyInput{UserName: aws.String("ada"), AccessKeyId: &cred.AccessKeyID, Status: to})
		v.ok(err)
	}
	status(iamtypes.StatusTypeInactive)
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.want("InvalidAccessKeyId", 403, err)
	_, err = s.sts.GetCallerIdentity(v.ctx, &sts.GetCallerIdentityInput{})
	v.want("InvalidClientTokenId", 403, err)
	status(iamtypes.StatusTypeActive)
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.ok(err)
	own, err := v.sts.GetSessionToken(v.ctx, &sts.GetSessionTokenInput{})
	v.ok(err)
	_, err = v.session(own.Credentials).s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.ok(err)
	_, err = v.session(own.Credentials).iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{})
	v.want("AccessDenied", 403, err)
}

func (v *vaultRun) federated(t *testing.T, user *vaultRun, account string) {
	v, user = v.on(t), user.on(t)
	v.let("ada", "sts", []string{"sts:GetFederationToken"}, []string{"*"})
	in := &sts.GetFederationTokenInput{Name: aws.String("visitor"), Policy: aws.String(allowing([]string{"s3:ListAllMyBuckets"}, []string{"*"}))}
	out, err := user.sts.GetFederationToken(v.ctx, in)
	v.ok(err)
	s := v.session(out.Credentials)
	if s.who() != "arn:aws:sts::"+account+":federated-user/visitor" {
		v.Errorf("%s", s.who())
	}
	_, err = s.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
	v.ok(err)
	_, err = s.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("by-visitor")})
	v.want("AccessDenied", 403, err)
	in.Policy = nil // nothing is allowed by nothing
	for _, by := range []*vaultRun{user, v} {
		out, err := by.sts.GetFederationToken(v.ctx, in)
		v.ok(err)
		_, err = v.session(out.Credentials).s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
		v.want("AccessDenied", 403, err)
		_, err = v.session(out.Credentials).iam.ListUsers(v.ctx, &iam.ListUsersInput{})
		v.want("AccessDenied", 403, err)
	}
}

// TestAttackSessionTokens (S-A11): a token is good for its key alone, unaltered.
func TestAttackSessionTokens(t *testing.T) {
	p := newProcess(t)
	p.start()
	root, _ := p.tenant(t, "acme")
	one, err := root.sts.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	root.ok(err)
	two, err := root.sts.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	root.ok(err)
	lasting, err := root.cred.Retrieve(t.Context())
	root.ok(err)
	strange := newProcess(t) // another cluster, with another keyring
	strange.start()
	far, err := strange.vault(t, awsCredentials(strange.cred)).sts.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	root.ok(err)
	key, secret, token := *one.Credentials.AccessKeyId, *one.Credentials.SecretAccessKey, *one.Credentials.SessionToken
	flip := func(i int) string {
		b := []byte(token)
		b[i] = map[bool]byte{true: 'B', false: 'A'}[b[i] == 'A']
		return string(b)
	}
	for _, c := range []struct{ name, key, secret, token, code, iam string }{
		{"none", key, secret, "", "InvalidAccessKeyId", "InvalidClientTokenId"},
		{"of another session", key, secret, *two.Credentials.SessionToken, "InvalidToken", "InvalidClientTokenId"},
		{"with a key that lasts", lasting.AccessKeyID, lasting.SecretAccessKey, token, "InvalidToken", "InvalidClientTokenId"},
		{"of another cluster", *far.Credentials.AccessKeyId, *far.Credentials.SecretAccessKey, *far.Credentials.SessionToken, "InvalidToken", "InvalidClientTokenId"},
		{"wrong secret", key, lasting.SecretAccessKey, token, "SignatureDoesNotMatch", "SignatureDoesNotMatch"},
		{"first byte", key, secret, flip(0), "InvalidToken", "InvalidClientTokenId"},
		{"nonce", key, secret, flip(5), "InvalidToken", "InvalidClientTokenId"},
		{"body", key, secret, flip(len(token) / 2), "InvalidToken", "InvalidClientTokenId"},
		{"seal", key, secret, flip(len(token) - 3), "InvalidToken", "InvalidClientTokenId"},
		{"cut", key, secret, token[:len(token)-4], "InvalidToken", "InvalidClientTokenId"},
		{"a web token", key, secret, "eyJhbGciOiJub25lIn0.eyJhY2Nlc3NLZXkiOiJyb290In0.", "InvalidToken", "InvalidClientTokenId"},
		{"long", key, secret, strings.Repeat("A", 6000), "InvalidToken", "InvalidClientTokenId"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := p.vault(t, credentials.NewStaticCredentialsProvider(c.key, c.secret, c.token))
			_, err := v.s3.ListBuckets(v.ctx, &s3.ListBucketsInput{})
			v.want(c.code, map[bool]int{true: 400, false: 403}[c.code == "InvalidToken"], err)
			_, err = v.sts.GetCallerIdentity(v.ctx, &sts.GetCallerIdentityInput{})
			v.want(c.iam, 403, err)
		})
	}
	strange.stop()
	p.stop()
}

// TestAttackEscalation (S-D7): nobody reaches further by the vault than his policies
// say, and never into another account.
func TestAttackEscalation(t *testing.T) {
	p := newProcess(t)
	p.start()
	root, account := p.tenant(t, "acme")
	other, foreign := p.tenant(t, "other")
	victim := other.user("victim")
	victimKey, err := victim.cred.Retrieve(t.Context())
	root.ok(err)
	role := other.role("role", "arn:aws:iam::"+foreign+":root", "")
	policy, err := other.iam.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"*"}))})
	root.ok(err)
	nothing := root.user("nothing")
	denied := root.user("denied")
	_, err = root.iam.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("denied"), PolicyName: aws.String("d"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:DeleteBucket","Resource":"*"}}`)})
	root.ok(err)
	self := root.user("self")
	root.let("self", "keys", []string{"iam:*AccessKey*"}, []string{"arn:aws:iam::" + account + ":user/${aws:username}"})
	admin := root.user("admin")
	root.let("admin", "all", []string{"*"}, []string{"*"})
	root.user("boss")

	all := aws.String(allowing([]string{"*"}, []string{"*"}))
	steps := map[string]func(v *vaultRun, user string) error{
		"policy to self": func(v *vaultRun, user string) error {
			_, err := v.iam.PutUserPolicy(v.ctx, &iam.PutUserPolicyInput{UserName: &user, PolicyName: aws.String("x"), PolicyDocument: all})
			return err
		},
		"managed policy to self": func(v *vaultRun, user string) error {
			_, err := v.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: &user, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
			return err
		},
		"key of another": func(v *vaultRun, _ string) error {
			_, err := v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{UserName: aws.String("boss")})
			return err
		},
		"keys of another": func(v *vaultRun, _ string) error {
			_, err := v.iam.ListAccessKeys(v.ctx, &iam.ListAccessKeysInput{UserName: aws.String("boss")})
			return err
		},
		"new user": func(v *vaultRun, user string) error {
			_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: aws.String("new-by-" + user)})
			return err
		},
		"rename": func(v *vaultRun, user string) error {
			_, err := v.iam.UpdateUser(v.ctx, &iam.UpdateUserInput{UserName: &user, NewPath: aws.String("/admins/")})
			return err
		},
		"export": func(v *vaultRun, _ string) error {
			_, err := v.iam.GetAccountAuthorizationDetails(v.ctx, &iam.GetAccountAuthorizationDetailsInput{})
			return err
		},
		"federation": func(v *vaultRun, _ string) error {
			_, err := v.sts.GetFederationToken(v.ctx, &sts.GetFederationTokenInput{Name: aws.String("x1"), Policy: all})
			return err
		},
	}
	for name, step := range steps {
		for user, v := range map[string]*vaultRun{"nothing": nothing, "denied": denied, "self": self} {
			t.Run(name+" by "+user, func(t *testing.T) { v.on(t).want("AccessDenied", 403, step(v.on(t), user)) })
		}
	}
	_, err = self.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{})
	root.ok(err)

	// Into another account nobody gets, whatever the own one allows.
	for name, v := range map[string]*vaultRun{"the account": root, "its administrator": admin} {
		v := v.on(t)
		for what, c := range map[string]struct {
			code   string
			status int
			do     func() error
		}{
			"user": {"NoSuchEntity", 404, func() error {
				_, err := v.iam.GetUser(v.ctx, &iam.GetUserInput{UserName: aws.String("victim")})
				return err
			}},
			"key": {"NoSuchEntity", 404, func() error {
				_, err := v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{UserName: aws.String("victim")})
				return err
			}},
			"known key": {"NoSuchEntity", 404, func() error {
				_, err := v.iam.DeleteAccessKey(v.ctx, &iam.DeleteAccessKeyInput{AccessKeyId: &victimKey.AccessKeyID})
				return err
			}},
			"whose key": {"AccessDenied", 403, func() error {
				_, err := v.iam.GetAccessKeyLastUsed(v.ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &victimKey.AccessKeyID})
				return err
			}},
			"policy": {"NoSuchEntity", 404, func() error {
				_, err := v.iam.GetPolicy(v.ctx, &iam.GetPolicyInput{PolicyArn: policy.Policy.Arn})
				return err
			}},
			"version": {"NoSuchEntity", 404, func() error {
				_, err := v.iam.CreatePolicyVersion(v.ctx, &iam.CreatePolicyVersionInput{PolicyArn: policy.Policy.Arn, PolicyDocument: all, SetAsDefault: true})
				return err
			}},
			"attach": {"NoSuchEntity", 404, func() error {
				_, err := v.iam.AttachUserPolicy(v.ctx, &iam.AttachUserPolicyInput{UserName: aws.String("boss"), PolicyArn: policy.Policy.Arn})
				return err
			}},
			"role": {"AccessDenied", 403, func() error {
				_, err := v.sts.AssumeRole(v.ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("x1")})
				return err
			}},
		} {
			t.Run(what+" by "+name, func(t *testing.T) { v.on(t).want(c.code, c.status, c.do()) })
		}
	}
	// The cluster's root account has users of its own, and none of others'.
	cluster := p.vault(t, awsCredentials(p.cred))
	users, err := cluster.iam.ListUsers(t.Context(), &iam.ListUsersInput{})
	root.ok(err)
	if len(users.Users) != 0 {
		t.Errorf("the root account has %v", users.Users)
	}
	p.stop()
}
