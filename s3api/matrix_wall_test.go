package s3api_test

import (
	"slices"
	"strings"
	"testing"
)

// wall is a bucket of the owner's with settings that change who may.
type wall struct {
	name  string
	build func(m *matrix, bucket string)
	// ask are those who ask there; header is what they say, by name and value.
	ask []walled
}

// walled is somebody who asks in such a bucket.
type walled struct {
	who     string
	headers []string
	may     func(r *row) bool
	key     string // "": the owner's object
}

func always(*row) bool  { return true }
func nowhere(*row) bool { return false }

// everybody is a policy that gives everything away.
func everybody(m *matrix, bucket string) {
	on := []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"}
	m.must(m.owner, 204, "PUT", "/"+bucket+"?policy", document(statement{Effect: "Allow", Principal: map[string]string{"AWS": "*"}, Action: "s3:*", Resource: on}))
}

func walls() []wall {
	openTo := func(r *row) bool {
		return !r.upload && !r.grows && !r.reads()
	}
	grants := []walled{{who: "the owner", may: always}}
	for _, g := range grantAccounts {
		grants = append(grants, walled{who: "an account with a grant of " + g.grant, may: nowhere})
	}
	return []wall{
		// Lists are disabled: no grant counts, and all objects are the bucket owner's.
		{"enforced", func(m *matrix, bucket string) {
			m.must(m.owner, 200, "PUT", "/"+bucket+"?acl", "", "X-Amz-Acl", "private")
			m.must(m.owner, 200, "PUT", "/"+bucket+"?ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>")
		}, append(grants, walled{who: "the owner", key: "foreign", may: always}, walled{who: "an account with a grant of w", key: "foreign", may: nowhere})},
		// S-D3: what is public is restricted to the owner's account.
		{"restricted", func(m *matrix, bucket string) {
			m.must(m.owner, 200, "PUT", "/"+bucket+"?acl", "", "X-Amz-Acl", "public-read-write")
			m.must(m.owner, 200, "PUT", "/"+bucket+"/key?acl", "", "X-Amz-Acl", "public-read")
			everybody(m, bucket)
			m.must(m.owner, 200, "PUT", "/"+bucket+"?publicAccessBlock", "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>")
		}, []walled{{who: "the owner", may: always}, {who: "a user without a policy", may: func(r *row) bool { return !r.reads() }}, {who: "another account", may: nowhere}, {who: "nobody", may: nowhere}}},
		// Others than the owner must say that they pay, and nobody cannot.
		{"paid", func(m *matrix, bucket string) {
			everybody(m, bucket)
			m.must(m.owner, 200, "PUT", "/"+bucket+"?requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>")
		}, []walled{
			{who: "the owner", may: always}, {who: "another account", may: nowhere}, {who: "nobody", may: nowhere},
			{who: "another account", headers: []string{"X-Amz-Request-Payer", "requester"}, may: openTo},
			{who: "nobody", headers: []string{"X-Amz-Request-Payer", "requester"}, may: nowhere},
		}},
	}
}

// reads reports whether a row reads another bucket.
func (r *row) reads() bool {
	return slices.ContainsFunc(r.needs, func(n need) bool { return strings.HasPrefix(n.resource, "source/") })
}

// TestMatrixWalls asks for every operation in buckets whose settings stand above policies
// and grants. What is answered to who may is another matter there: only that it is no
// refusal.
func TestMatrixWalls(t *testing.T) {
	m := newMatrix(t)
	for _, w := range walls() {
		m.bucket(w.name)
		w.build(m, w.name)
		t.Run(w.name, func(t *testing.T) {
			m.T, m.frozen = t, true
			for i := range s3Rows() {
				if r := &s3Rows()[i]; !r.service && !r.nobody {
					for _, a := range w.ask {
						m.checkWall(r, &w, &a)
					}
				}
			}
			m.frozen = false
		})
	}
}

func (m *matrix) checkWall(r *row, w *wall, a *walled) {
	m.Helper()
	q := r.question
	if a.key != "" {
		if r.owners == "" || strings.Contains(q.target, "VERSION") {
			return
		}
		q.target = strings.Replace(q.target, "KEY", a.key, 1)
	}
	if len(a.headers) > 0 && r.op == "PostObject" { // which has fields, and this is none
		return
	}
	at := slices.IndexFunc(m.actors, func(x *actor) bool { return x.name == a.who })
	who, asked := m.actors[at], m.fill(q, w.name)
	asked.headers = append(asked.headers, a.headers...)
	m.proposals, m.puts, m.opens = 0, 0, 0
	got := m.send(who.forms(r)[0].make(m.world, asked, who.cred))
	refused := m.is(got, asked, "403 AccessDenied") || m.is(got, asked, "each key")
	if may := a.may(r); refused == may {
		m.Errorf("%s %s: may %v %s: %v: %v, got %v", r.op, r.variant, a.who, a.headers, asked.target, may, got)
	}
	if refused && m.proposals+m.puts+m.opens > 0 {
		m.Errorf("%s %s: %s is refused, but something was done", r.op, r.variant, a.who)
	}
}
