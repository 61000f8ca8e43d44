package access

import (
	"fmt"
	"testing"
)

// S-D2: every combination of what identity policies, boundary, session policies and the
// bucket's policy say, for a user of the bucket owner's account and of another, named
// by the bucket's policy itself or not. The model follows Amazon's flow chart box by
// box: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func TestPolicyMatrix(t *testing.T) {
	verdicts := []Verdict{Silent, Allow, Deny}
	cases, permitted := 0, 0
	for _, account := range []string{bb, xx} {
		for _, direct := range []bool{false, true} {
			for i := range 81 {
				identity, boundary, session, bucket := verdicts[i%3], verdicts[i/3%3], verdicts[i/9%3], verdicts[i/27]
				r := &Request{
					Action: "s3:PutObject", Bucket: Resource{Owner: bb}, Identity: Opinion{Verdict: identity},
					Boundary: &Opinion{Verdict: boundary}, Session: &Opinion{Verdict: session},
					BucketPolicy: Opinion{Verdict: bucket, Direct: direct && bucket == Allow},
				}
				got := Decide(Principal{CanonicalID: account, User: "u"}, r)
				want := flow(account == bb, direct, identity, boundary, session, bucket)
				what := fmt.Sprintf("account %s, direct %v: identity %v, boundary %v, session %v, bucket %v", account, direct, identity, boundary, session, bucket)
				if got.Allowed != want {
					t.Errorf("%s: %v", what, got.Allowed)
				}
				if denied := identity == Deny || boundary == Deny || session == Deny || bucket == Deny; got.Denied != denied {
					t.Errorf("%s: denied %v", what, got.Denied)
				}
				if cases++; got.Allowed {
					permitted++
				}
				checkReason(t, got)
			}
		}
	}
	if cases != 4*81 || permitted < 5 {
		t.Errorf("%d of %d allowed: does the test still test?", permitted, cases)
	}
}

// flow is Amazon's chart. Within one account the bucket's policy and the identity's
// add up; across accounts both have to allow.
func flow(sameAccount, direct bool, identity, boundary, session, bucket Verdict) bool {
	for _, v := range []Verdict{identity, boundary, session, bucket} {
		if v == Deny {
			return false
		}
	}
	if sameAccount && bucket == Allow && direct {
		return true // to the user or session itself: no bound is asked
	}
	if boundary != Allow || session != Allow {
		return false
	}
	if sameAccount {
		return bucket == Allow || identity == Allow
	}
	return bucket == Allow && identity == Allow
}

// Bounds bind the account itself, and the cluster's root, where a session has them.
func TestBounds(t *testing.T) {
	no, yes := &Opinion{}, &Opinion{Verdict: Allow}
	for _, p := range []Principal{{CanonicalID: "rrrr", Root: true}, {CanonicalID: bb}} {
		for _, action := range []string{"s3:PutObject", "s3:CreateBucket"} {
			r := &Request{Action: action, Bucket: Resource{Owner: bb}, Session: yes}
			if !Decide(p, r).Allowed {
				t.Errorf("%+v may not %s", p, action)
			}
			r.Session = no
			if Decide(p, r).Allowed {
				t.Errorf("%+v may %s in a session without", p, action)
			}
		}
	}
}

// The bucket owner's account can always get, put and delete the policy: alone, and no
// denial of its own counts for less.
func TestPolicyCannotLockOut(t *testing.T) {
	deny := Opinion{Verdict: Deny}
	for _, action := range []string{"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"} {
		r := &Request{Action: action, Bucket: Resource{Owner: bb}, BucketPolicy: deny, Identity: Opinion{Verdict: Allow}}
		for _, p := range []Principal{{}, {CanonicalID: xx}, {CanonicalID: "rrrr", Root: true}, {CanonicalID: bb, User: "u"}} {
			r.Identity = Opinion{Verdict: Allow}
			if Decide(p, r).Allowed {
				t.Errorf("%+v may %s", p, action)
			}
		}
		r.Identity = Opinion{}
		if !Decide(Principal{CanonicalID: bb}, r).Allowed {
			t.Errorf("the owner lost %s", action)
		}
		r.Session = &deny
		if Decide(Principal{CanonicalID: bb}, r).Allowed {
			t.Errorf("a session's denial of %s does not count", action)
		}
	}
	r := &Request{Action: "s3:GetBucketPolicyStatus", Bucket: Resource{Owner: bb}, BucketPolicy: deny}
	for _, p := range []Principal{{CanonicalID: bb}, {CanonicalID: "rrrr", Root: true}} {
		if Decide(p, r).Allowed {
			t.Errorf("%+v: a denial binds the owner and root", p)
		}
	}
}

// Nobody acts for whoever does not sign: what a policy gives to all has no bounds.
func TestAnonymousByPolicy(t *testing.T) {
	r := &Request{Action: "s3:GetObject", Bucket: Resource{Owner: bb}, Object: &Resource{Owner: bb}, BucketPolicy: Opinion{Verdict: Allow}}
	if !Decide(Principal{}, r).Allowed {
		t.Error("refused")
	}
	r.Object.Owner = oo // a bucket's policy cannot give away what is not its owner's
	if Decide(Principal{}, r).Allowed {
		t.Error("given away")
	}
}
