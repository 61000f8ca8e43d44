package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// idp is an OpenID Connect provider of the test.
type idp struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newIDP(t *testing.T) *idp {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &idp{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/realm/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL + "/realm", "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Use: "sig", Algorithm: "ES256"}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *idp) token(t *testing.T, subject, client string, life time.Duration) *string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	out, err := jwt.Signed(s).Claims(jwt.Claims{
		Issuer: i.URL + "/realm", Subject: subject, Audience: jwt.Audience{client}, IssuedAt: jwt.NewNumericDate(now.Add(-time.Hour)), Expiry: jwt.NewNumericDate(now.Add(life)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestWebIdentity: whoever has a token of a provider that a role trusts begins a session
// of the role, as workloads of Kubernetes do, and nobody else.
func TestWebIdentity(t *testing.T) {
	t.Parallel()
	p := newProcess(t, "--web-identity", "--web-identity-insecure")
	p.start()
	v, account := p.tenant(t, "acme")
	other, _ := p.tenant(t, "other")
	i := newIDP(t)
	name := strings.TrimPrefix(i.URL, "http://") + "/realm"
	made, err := v.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String(i.URL + "/realm"), ClientIDList: []string{"first"}})
	v.ok(err)
	arn := made.OpenIDConnectProviderArn
	if want := "arn:aws:iam::" + account + ":oidc-provider/" + name; *arn != want {
		t.Errorf("it is %s, not %s", *arn, want)
	}
	_, err = v.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String(i.URL + "/realm")})
	v.want("EntityAlreadyExists", 409, err)
	_, err = v.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("ftp://idp.example")})
	v.want("InvalidInput", 400, err)
	_, err = v.iam.AddClientIDToOpenIDConnectProvider(v.ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("sts.amazonaws.com")})
	v.ok(err)
	_, err = v.iam.RemoveClientIDFromOpenIDConnectProvider(v.ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("first")})
	v.ok(err)
	about, err := v.iam.GetOpenIDConnectProvider(v.ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	v.ok(err)
	if !slices.Equal(about.ClientIDList, []string{"sts.amazonaws.com"}) {
		t.Errorf("its clients are %q", about.ClientIDList)
	}
	role, err := v.iam.CreateRole(v.ctx, &iam.CreateRoleInput{RoleName: aws.String("pod"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"` + *arn + `"},` +
			`"Condition":{"StringEquals":{"` + name + `:aud":"sts.amazonaws.com"},"StringLike":{"` + name + `:sub":"system:serviceaccount:prod:*"}}}]}`)})
	v.ok(err)
	_, err = v.iam.PutRolePolicy(v.ctx, &iam.PutRolePolicyInput{RoleName: aws.String("pod"), PolicyName: aws.String("s3"), PolicyDocument: aws.String(allowing([]string{"s3:*"}, []string{"arn:aws:s3:::of-pods*"}))})
	v.ok(err)

	anonymous := p.vault(t, aws.AnonymousCredentials{})
	const subject, client = "system:serviceaccount:prod:backup", "sts.amazonaws.com"
	assume := func(role *string, token *string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return anonymous.sts.AssumeRoleWithWebIdentity(v.ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: role, RoleSessionName: aws.String("pod-1"), WebIdentityToken: token})
	}
	token := i.token(t, subject, client, time.Hour)
	out, err := assume(role.Role.Arn, token)
	v.ok(err)
	if *out.SubjectFromWebIdentityToken != subject || *out.Audience != client || *out.Provider != *arn {
		t.Errorf("it is told %q, %q, %q", *out.SubjectFromWebIdentityToken, *out.Audience, *out.Provider)
	}
	s := v.session(out.Credentials)
	if want := "arn:aws:sts::" + account + ":assumed-role/pod/pod-1"; s.who() != want {
		t.Errorf("it is %s, not %s", s.who(), want)
	}
	_, err = s.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("of-pods")})
	v.ok(err)
	_, err = s.s3.CreateBucket(v.ctx, &s3.CreateBucketInput{Bucket: aws.String("of-others")})
	v.want("AccessDenied", 403, err)

	// Another account knows the same provider, for another client.
	theirs, err := other.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String(i.URL + "/realm"), ClientIDList: []string{"theirs"}})
	v.ok(err)
	trusting := func(who *vaultRun, name, provider string) *string {
		out, err := who.iam.CreateRole(v.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":` + provider + `}]}`)})
		v.ok(err)
		return out.Role.Arn
	}
	stranger := newIDP(t)
	for name, c := range map[string]struct {
		role  *string
		token *string
		want  string
	}{
		"about somebody else":  {role.Role.Arn, i.token(t, "system:serviceaccount:test:backup", client, time.Hour), "AccessDenied"},
		"for somebody else":    {role.Role.Arn, i.token(t, subject, "first", time.Hour), "InvalidIdentityToken"},
		"expired":              {role.Role.Arn, i.token(t, subject, client, -10*time.Minute), "ExpiredTokenException"},
		"of a stranger":        {role.Role.Arn, stranger.token(t, subject, client, time.Hour), "InvalidIdentityToken"},
		"for no role":          {aws.String(*role.Role.Arn + "s"), i.token(t, subject, client, time.Hour), "AccessDenied"},
		"for no account":       {aws.String("arn:aws:iam::999999999999:role/pod"), i.token(t, subject, client, time.Hour), "InvalidIdentityToken"},
		"that is none":         {role.Role.Arn, aws.String("x.y.z"), "InvalidIdentityToken"},
		"for a role of AWS's":  {aws.String(v.role("worker", "arn:aws:iam::"+account+":root", "")), i.token(t, subject, client, time.Hour), "AccessDenied"},
		"of another's account": {trusting(other, "theirs", `{"Federated":"`+*theirs.OpenIDConnectProviderArn+`"}`), i.token(t, subject, client, time.Hour), "InvalidIdentityToken"},
		"trusting another's":   {trusting(v, "across", `{"Federated":"`+*theirs.OpenIDConnectProviderArn+`"}`), i.token(t, subject, client, time.Hour), "AccessDenied"},
		"trusting everybody":   {trusting(v, "open", `{"AWS":"*"}`), i.token(t, subject, client, time.Hour), "AccessDenied"},
	} {
		_, err := assume(c.role, c.token)
		status := 400
		if c.want == "AccessDenied" {
			status = 403
		}
		t.Run(name, func(*testing.T) { v.want(c.want, status, err) })
	}

	_, err = assume(trusting(other, "own", `{"Federated":"`+*theirs.OpenIDConnectProviderArn+`"}`), i.token(t, "anybody", "theirs", time.Hour))
	v.ok(err)

	// An account that has nothing but a provider stays, and its keys with it.
	lone, loneAccount := p.tenant(t, "lone")
	_, err = lone.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://idp.example/")})
	v.ok(err)
	if a := p.adminAsk("POST", "/-/accounts/delete?account="+loneAccount); a.status/100 != 4 || !strings.Contains(string(a.body), "providers") {
		t.Errorf("the account's deletion answered %d %s", a.status, a.body)
	}
	kept, err := lone.iam.ListOpenIDConnectProviders(v.ctx, &iam.ListOpenIDConnectProvidersInput{})
	v.ok(err)
	if n := len(kept.OpenIDConnectProviderList); n != 1 || *kept.OpenIDConnectProviderList[0].Arn != "arn:aws:iam::"+loneAccount+":oidc-provider/idp.example/" {
		t.Errorf("it has %d providers: %v", n, kept.OpenIDConnectProviderList)
	}

	_, err = v.iam.DeleteOpenIDConnectProvider(v.ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	v.ok(err)
	_, err = assume(role.Role.Arn, i.token(t, subject, client, time.Hour))
	v.want("InvalidIdentityToken", 400, err)
	if strings.Contains(p.log.String(), *token) {
		t.Error("a token is in the log")
	}
	p.stop()

	// Without the flags nobody's tokens are taken, and providers are at https:// only.
	p.flags = nil
	p.start()
	v, _ = p.tenant(t, "acme2")
	_, err = v.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String(i.URL)})
	v.want("InvalidInput", 400, err)
	_, err = v.iam.CreateOpenIDConnectProvider(v.ctx, &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://idp.example")})
	v.ok(err)
	anonymous = p.vault(t, aws.AnonymousCredentials{})
	_, err = assume(role.Role.Arn, i.token(t, subject, client, time.Hour))
	v.want("AccessDenied", 403, err)
}
