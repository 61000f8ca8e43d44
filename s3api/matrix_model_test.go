package s3api_test

import (
	"fmt"
	"strings"

	"ironman/s3api/sig"
)

// Who may ask. Each is one entry of cast.
type part int

const (
	root    part = iota // the cluster's root account
	owner               // the bucket owner's account, and whoever of it is let do all
	exact               // a user of it, let do what the row needs and nothing else
	lacking             // users of it that are let do all but one of those
	denied              // users of it that are let do all, and denied one of those
	never               // of it, but let do nothing, or bounded to nothing
	barred              // a user of it that is let do all, but the bucket's policy denies
	granted             // other accounts, by one permission of access control lists
	named               // another account, let by the bucket's policy do what the row needs
	almost              // other accounts, let by the bucket's policy do all but one of those
	strange             // another account that nobody let do anything
	nobody              // who does not say who it is
	refused             // credentials that are good for nothing
)

// actor is somebody who asks.
type actor struct {
	name string
	part part
	cred sig.Credential
	// grant is the permission of a granted account; lacks which of the row's needs is
	// lacking or denied; refusal status and code of credentials that are refused.
	grant   string
	lacks   int
	refusal string
	by      credentials
}

// credentials are what somebody signs with.
type credentials int

const (
	byUser credentials = iota
	byAccount
	byKey        // a session of a user's key
	byAccountKey // a session of the account's own key
	byRole
	byFederation
)

// most is the largest number of rights that a row needs.
const most = 5

// Accounts by number. Those of access control lists stand under their permission.
const (
	rootAccount    = "000000000001"
	ownerAccount   = "100000000001"
	strangeAccount = "100000000002"
	namedAccount   = "100000000003"
)

var grantAccounts = [...]struct{ grant, account, header string }{
	{"r", "200000000001", "X-Amz-Grant-Read"}, {"w", "200000000002", "X-Amz-Grant-Write"},
	{"R", "200000000003", "X-Amz-Grant-Read-Acp"}, {"W", "200000000004", "X-Amz-Grant-Write-Acp"},
}

func almostAccount(i int) string { return fmt.Sprintf("30000000000%d", i) }

// cast makes all accounts, users and sessions.
func (w *world) cast() (all []*actor) {
	add := func(name string, p part, c sig.Credential) *actor {
		a := &actor{name: name, part: p, cred: c, lacks: -1}
		all = append(all, a)
		return a
	}
	defer func() {
		for _, a := range all { // those of accounts were made by hand
			if strings.HasPrefix(a.cred.AccessKey, "KEY") {
				a.by = byAccount
			}
		}
	}()
	add("the root account", root, w.account(w.T, rootAccount, "root", true))
	o := w.account(w.T, ownerAccount, "owner", false)
	add("the owner", owner, o)
	add("another account", strange, w.account(w.T, strangeAccount, "strange", false))
	n := w.account(w.T, namedAccount, "named", false)
	add("an account that the policy names", named, n)
	for _, g := range grantAccounts {
		add("an account with a grant of "+g.grant, granted, w.account(w.T, g.account, "grant "+g.grant, false)).grant = g.grant
	}
	for i := range most {
		add(fmt.Sprintf("an account that the policy lets do all but need %d", i), almost, w.account(w.T, almostAccount(i), fmt.Sprint("almost ", i), false)).lacks = i
	}
	// Of another account, whose policy its users need as well as the bucket's.
	add("a user of the account that the policy names", never, w.user(n, "user"))
	add("a user of that account, who is let do all", named, w.user(n, "allowed"))
	w.vault(n, "iam", "PutUserPolicy", "UserName", "allowed", "PolicyName", "own", "PolicyDocument", allowAll)
	w.users(o, add)
	add("nobody", nobody, sig.Credential{})
	return all
}

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// users makes the owner's users and sessions.
func (w *world) users(o sig.Credential, add func(string, part, sig.Credential) *actor) {
	user := func(name, policy string) sig.Credential {
		c := w.user(o, name)
		if policy != "" {
			w.vault(o, "iam", "PutUserPolicy", "UserName", name, "PolicyName", "own", "PolicyDocument", policy)
		}
		return c
	}
	allowed := user("allowed", allowAll)
	add("a user", owner, allowed)
	add("a user who is let do just that", exact, user("exact", ""))
	add("a user who is let do just that elsewhere", never, user("elsewhere", ""))
	add("a user without a policy", never, user("bare", ""))
	add("a user whom the bucket's policy denies", barred, user("barred", allowAll))
	for i := range most {
		add(fmt.Sprintf("a user who is let do all but need %d", i), lacking, user(fmt.Sprint("lacking", i), "")).lacks = i
		add(fmt.Sprintf("a user who is denied need %d", i), denied, user(fmt.Sprint("denied", i), "")).lacks = i
	}
	bound := w.vault(o, "iam", "CreatePolicy", "PolicyName", "nowhere", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::nowhere/*"}]}`).field("Arn")
	bounded := user("bounded", allowAll)
	w.vault(o, "iam", "PutUserPermissionsBoundary", "UserName", "bounded", "PermissionsBoundary", bound)
	add("a user within a boundary", never, bounded)

	w.vault(o, "iam", "CreateRole", "RoleName", "worker", "AssumeRolePolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"`+ownerAccount+`"}}]}`)
	w.vault(o, "iam", "PutRolePolicy", "RoleName", "worker", "PolicyName", "own", "PolicyDocument", allowAll)
	const nowhere = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::nowhere/*"}]}`
	w.sessions(o, allowed, nowhere, add)
	w.useless(o, add)
}

// sessions begins those of the owner, of a user and of a role.
func (w *world) sessions(o, allowed sig.Credential, nowhere string, add func(string, part, sig.Credential) *actor) {
	begin := func(c sig.Credential, action string, parameters ...string) sig.Credential {
		return credential(w.vault(c, "sts", action, parameters...))
	}
	as := func(by credentials, name string, p part, c sig.Credential) { add(name, p, c).by = by }
	as(byKey, "a session of a user", owner, begin(allowed, "GetSessionToken"))
	as(byAccountKey, "a session of the owner", owner, begin(o, "GetSessionToken"))
	assume := []string{"RoleArn", "arn:aws:iam::" + ownerAccount + ":role/worker", "RoleSessionName", "job"}
	as(byRole, "a session of a role", owner, begin(allowed, "AssumeRole", assume...))
	as(byRole, "a session of a role with a policy for nothing", never, begin(allowed, "AssumeRole", append(assume, "Policy", nowhere)...))
	as(byRole, "a session of a role with a managed policy for nothing", never,
		begin(allowed, "AssumeRole", append(assume, "PolicyArns.member.1.arn", "arn:aws:iam::"+ownerAccount+":policy/nowhere")...))
	as(byFederation, "a federated user", owner, begin(allowed, "GetFederationToken", "Name", "fed", "Policy", allowAll))
	as(byFederation, "a federated user with a policy for nothing", never, begin(o, "GetFederationToken", "Name", "fed", "Policy", nowhere))
	as(byFederation, "a federated user without a policy", never, begin(o, "GetFederationToken", "Name", "fed"))
}

// useless makes credentials that are good for nothing.
func (w *world) useless(o sig.Credential, add func(string, part, sig.Credential) *actor) {
	refuse := func(name, refusal string, c sig.Credential) { add(name, refused, c).refusal = refusal }
	w.vault(o, "iam", "CreateUser", "UserName", "disabled")
	disabled := credential(w.vault(o, "iam", "CreateAccessKey", "UserName", "disabled"))
	orphan := credential(w.vault(disabled, "sts", "GetSessionToken"))
	w.vault(o, "iam", "UpdateAccessKey", "UserName", "disabled", "AccessKeyId", disabled.AccessKey, "Status", "Inactive")
	refuse("a disabled key", "403 InvalidAccessKeyId", disabled)
	refuse("a session of a disabled key", "403 InvalidAccessKeyId", orphan)

	deleted := w.user(o, "deleted")
	w.vault(o, "iam", "DeleteAccessKey", "UserName", "deleted", "AccessKeyId", deleted.AccessKey)
	refuse("a deleted key", "403 InvalidAccessKeyId", deleted)

	wrong := o
	wrong.Secret = sig.NewSecret("not the secret that this key has")
	refuse("a wrong secret", "403 SignatureDoesNotMatch", wrong)

	expired := credential(w.vault(o, "sts", "GetSessionToken", "DurationSeconds", "900"))
	foreign := o
	foreign.Session = expired.Session
	refuse("a token of another key", "400 InvalidToken", foreign)
	refuse("an expired session", "400 ExpiredToken", expired)
}

// user makes a user with a key.
func (w *world) user(account sig.Credential, name string) sig.Credential {
	w.vault(account, "iam", "CreateUser", "UserName", name)
	return credential(w.vault(account, "iam", "CreateAccessKey", "UserName", name))
}

// credential reads what an answer shows once.
func credential(a *reply) sig.Credential {
	c := sig.Credential{AccessKey: a.field("AccessKeyId"), Secret: sig.NewSecret(a.field("SecretAccessKey"))}
	if token := a.field("SessionToken"); token != "" {
		c.Session = sig.NewSecret(token)
	}
	return c
}

// may says whether somebody may do what a row asks for in the owner's bucket. This is
// the model: nothing of the code that decides is in it.
func (a *actor) may(r *row) bool {
	switch a.part {
	case root:
		return !r.grows
	case owner, exact:
		return true
	case barred: // there is no bucket whose policy could deny
		return r.service
	case granted:
		return r.service || strings.Contains(r.acl, a.grant) && a.grant != ""
	case named:
		return r.service || !r.upload && !r.grows && !r.closed()
	case almost:
		return r.service || !r.upload && !r.grows && !r.closed() && r.needs[a.lacks].own
	case strange:
		return r.service
	}
	return false
}

// closed reports whether a row reads a source that other accounts may not.
func (r *row) closed() bool {
	for _, n := range r.needs {
		if strings.HasPrefix(n.resource, "source/") && n.resource != "source/open" {
			return true
		}
	}
	return false
}

// plays reports whether somebody has a part in a row: who lacks a right that the row does
// not need is somebody else there, and who lacks it in another bucket than the policy's.
func (a *actor) plays(r *row) bool {
	if a.lacks < 0 {
		return true
	}
	if a.lacks >= len(r.needs) {
		return false
	}
	return a.part != almost || !strings.HasPrefix(r.needs[a.lacks].resource, "source/")
}

// mayOfForeign is may for an object of another account, the one with the grant of w, in
// the owner's bucket.
func (a *actor) mayOfForeign(r *row) bool {
	switch a.part {
	case root:
		return !r.grows
	case owner, exact:
		return strings.Contains(r.owners, "b")
	case granted:
		return a.grant == "w" && strings.Contains(r.owners, "o")
	}
	return false // the bucket's policy cannot give away what is not its owner's
}

// lists reports whether somebody may list the owner's bucket while a row is asked, and so
// is told what is not there.
func (a *actor) lists(r *row) bool {
	switch a.part {
	case root, owner, lacking, almost:
		return true
	case denied: // what is denied outright is not told; but the first right is asked first
		return a.lacks > 0
	case granted:
		return a.grant == "r"
	}
	return false
}
