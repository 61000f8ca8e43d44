package s3api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ironman/s3api/iam"
	"ironman/s3api/sig"
)

// call is a row of IAM or STS.
type call struct {
	action string // with its service
	// on is what it is done to, behind the account in its ARN; "*": the account. Two: what
	// it is renamed to, too.
	on         string
	parameters string // names and values
	want       string // the answer to who may
	// also are further rights that it takes; free: it takes none, but must not be denied.
	also []string
	free bool
	// anyone: whoever calls, nobody among them, is answered as the one who may.
	anyone bool
	// strange is the answer to the owners of other accounts, to whom a name means one of
	// their own. "": there is none of it.
	strange string
}

// mayCall is the model for calls of IAM and STS by who is of the owner's account.
func (a *actor) mayCall(c *call) bool {
	switch {
	case c.action == "sts:GetCallerIdentity":
		return true
	case a.by == byKey: // a session for data
		return c.action == "sts:AssumeRole" && a.part == owner
	case a.by == byFederation || a.by == byAccountKey: // and an account itself assumes no role
		return false
	case a.by == byRole && (c.action == "sts:GetSessionToken" || c.action == "sts:GetFederationToken"):
		return false
	case a.by == byAccount && c.action == "sts:AssumeRole":
		return false
	}
	switch a.part {
	case owner, exact, barred:
		return true
	case lacking:
		return c.free && c.action != "sts:AssumeRole" // which takes the leave of its account, too
	case never:
		return c.action == "sts:GetSessionToken" && a.by == byUser
	}
	return false
}

const (
	grantDoc = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
	trustDoc = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Principal":{"AWS":"` + ownerAccount + `"}},` +
		`{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":"arn:aws:iam::` + ownerAccount + `:oidc-provider/idp.example/path"},` +
		`"Condition":{"StringEquals":{"idp.example/path:sub":"somebody","idp.example/path:aud":"app"}}}]}`
)

// oneProvider believes the token "good".
type oneProvider struct{}

func (oneProvider) Issuer(string) string { return "https://idp.example/path" }
func (oneProvider) Insecure() bool       { return false }

func (oneProvider) Verify(_ context.Context, p *iam.Provider, token string) (*iam.WebIdentity, error) {
	if token != "good" || len(p.Clients) != 1 || p.Clients[0] != "app" {
		return nil, iam.ErrToken
	}
	return &iam.WebIdentity{Subject: "somebody", Audiences: []string{"app"}}, nil
}

// newVaultMatrix makes what the rows ask about in the owner's account.
func newVaultMatrix(t *testing.T) *matrix {
	m := newMatrix(t)
	o := m.owner
	policy := m.vault(o, "iam", "CreatePolicy", "PolicyName", "doc", "PolicyDocument", grantDoc).field("Arn")
	m.vault(o, "iam", "CreatePolicyVersion", "PolicyArn", policy, "PolicyDocument", allowAll)
	loose := m.vault(o, "iam", "CreatePolicy", "PolicyName", "loose", "PolicyDocument", grantDoc).field("Arn")
	m.vault(o, "iam", "CreateOpenIDConnectProvider", "Url", "https://idp.example/path", "ClientIDList.member.1", "app")
	m.vault(o, "iam", "CreateRole", "RoleName", "target", "AssumeRolePolicyDocument", trustDoc)
	for i, condition := range []string{`"aws:RequestTag/team":"a"`, `"sts:ExternalId":"secret"`, `"aws:PrincipalAccount":"` + ownerAccount + `"`} {
		m.vault(o, "iam", "CreateRole", "RoleName", fmt.Sprint("tagged", i), "AssumeRolePolicyDocument", strings.Replace(trustDoc, `"idp.example/path:sub":"somebody"`, condition, 1))
	}
	m.vault(o, "iam", "CreateGroup", "GroupName", "crew")
	m.vault(o, "iam", "CreateGroup", "GroupName", "other")
	key := m.user(o, "subject").AccessKey
	m.vault(o, "iam", "AddUserToGroup", "GroupName", "crew", "UserName", "subject")
	for _, kind := range []string{"User", "Group", "Role"} {
		name := map[string]string{"User": "subject", "Group": "crew", "Role": "target"}[kind]
		m.vault(o, "iam", "Put"+kind+"Policy", kind+"Name", name, "PolicyName", "inline", "PolicyDocument", grantDoc)
		m.vault(o, "iam", "Attach"+kind+"Policy", kind+"Name", name, "PolicyArn", policy)
	}
	m.names["vault"] = []string{"POLICY", policy, "LOOSE", loose, "KEY", key, "GRANT", grantDoc, "TRUST", trustDoc, "ROLE", "arn:aws:iam::" + ownerAccount + ":role/target", "ACCOUNT", ownerAccount}
	return m
}

// TestVaultMatrix asks for every action of IAM and STS as everybody. Nothing is proposed
// of what is refused, and of another account nothing is told. S-D7.
func TestVaultMatrix(t *testing.T) {
	m := newVaultMatrix(t)
	for _, c := range calls() {
		t.Run(strings.Join(append([]string{c.action}, c.also...), " "), func(t *testing.T) {
			m.T = t
			m.allowCall(&c)
			m.frozen = true
			for _, a := range m.actors {
				if a.lacks > len(c.also) {
					continue
				}
				m.checkCall(&c, a)
			}
			m.otherForms(&c)
			m.frozen = false
		})
	}
}

// TestVaultMatrixIsWhole: every action has a row, and every row an action.
func TestVaultMatrixIsWhole(t *testing.T) {
	rows := make(map[string]bool)
	for _, c := range calls() {
		rows[c.action] = true
	}
	for _, name := range iam.Names() {
		if !rows[name] {
			t.Errorf("action %s has no row in the matrix", name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("the matrix has %s, which is no action", name)
	}
}

// allowCall gives the owner's users the rights that make them who they are in a row.
func (m *matrix) allowCall(c *call) {
	var on []string
	for _, name := range strings.Fields(c.on) {
		switch {
		case name == "*":
		case strings.HasPrefix(name, "federated-user/"):
			name = "arn:aws:sts::" + ownerAccount + ":" + name
		default:
			name = "arn:aws:iam::" + ownerAccount + ":" + name
		}
		on = append(on, name)
	}
	var just, elsewhere []statement
	for i, action := range append([]string{c.action}, c.also...) {
		just = append(just, statement{Effect: "Allow", Action: action, Resource: on})
		elsewhere = append(elsewhere, statement{Effect: "Allow", Action: action, Resource: []string{"arn:aws:*::" + ownerAccount + ":*/elsewhere"}})
		m.setPolicy(fmt.Sprint("lacking", i), statement{Effect: "Allow", NotAction: action, Resource: []string{"*"}})
		m.setPolicy(fmt.Sprint("denied", i), statement{Effect: "Allow", Action: "*", Resource: []string{"*"}}, statement{Effect: "Deny", Action: action, Resource: on})
	}
	m.setPolicy("exact", just...)
	m.setPolicy("elsewhere", elsewhere...)
}

// expectCall is the answer that somebody is to get.
func (a *actor) expectCall(c *call) string {
	switch a.part {
	case nobody:
		if c.anyone {
			return c.want
		}
		return "403 MissingAuthenticationToken"
	case refused:
		switch _, code, _ := strings.Cut(a.refusal, " "); code {
		case "InvalidAccessKeyId", "InvalidToken":
			return "403 InvalidClientTokenId"
		default:
			return "403 " + code
		}
	case root, granted, named, almost, strange:
		if c.anyone {
			return c.want
		}
		if c.strange == "" {
			return "404 NoSuchEntity"
		}
		return c.strange
	}
	if c.anyone || a.mayCall(c) {
		return c.want
	}
	return "403 AccessDenied"
}

// form makes a row's form.
func (m *matrix) form(c *call) []string {
	var out []string
	names := strings.NewReplacer(m.names["vault"]...)
	for _, p := range strings.Fields(c.parameters) {
		name, value, _ := strings.Cut(p, "=")
		out = append(out, name, names.Replace(value))
	}
	return out
}

// checkCall makes a call once.
func (m *matrix) checkCall(c *call, a *actor) {
	m.Helper()
	service, action, _ := strings.Cut(c.action, ":")
	m.proposals = 0
	before := m.machine.Applied()
	got := m.send(m.call(a.cred, service, action, m.form(c)...))
	want := a.expectCall(c)
	if m.operation != action {
		m.Errorf("%s: %s reaches %q", a.name, c.action, m.operation)
	}
	if m.machine.Applied() != before {
		m.Errorf("%s: %s changed the state", a.name, c.action)
	}
	if !m.is(got, &question{}, want) {
		m.Errorf("%s: %s: want %s, got %v, %d proposals", a.name, c.action, want, got, m.proposals)
	}
	if want != c.want && m.proposals > 0 && want != "event" {
		m.Errorf("%s: %s is refused, but %d events were proposed", a.name, c.action, m.proposals)
	}
}

// otherForms asks as the owner, signed in ways that these services do not have.
func (m *matrix) otherForms(c *call) {
	service, action, _ := strings.Cut(c.action, ":")
	for _, f := range []struct {
		name, want string
		sign       func(*http.Request) error
	}{
		{"presigned v4", "400 InvalidRequest", func(r *http.Request) error { return sig.PresignV4(r, m.owner, matrixRegion, 60e9, m.now) }},
		{"header v2", "400 InvalidRequest", func(r *http.Request) error { return sig.SignV2(r, m.owner, "", m.now) }},
		{"presigned v2", "400 InvalidRequest", func(r *http.Request) error { return sig.PresignV2(r, m.owner, "", m.now.Add(60e9)) }},
		{"for S3", "400 IncompleteSignature", func(r *http.Request) error {
			return sig.SignV4(r, m.owner, matrixRegion, sig.UnsignedPayload, m.now)
		}},
	} {
		r := m.call(sig.Credential{}, service, action, m.form(c)...)
		if err := f.sign(r); err != nil {
			m.Fatal(err)
		}
		m.proposals = 0
		if got := m.send(r); !m.is(got, &question{}, f.want) || m.proposals > 0 {
			m.Errorf("%s, %s: want %s, got %v", c.action, f.name, f.want, got)
		}
	}
}
