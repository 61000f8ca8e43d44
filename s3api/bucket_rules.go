package s3api

import (
	"ironman/fsm"
	"ironman/s3api/policy"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// bucketRules are what a bucket's documents say of every request to it.
type bucketRules struct {
	// ownership is one of s3xml's values of ObjectOwnership; "" as ObjectWriter.
	ownership string
	block     s3xml.PublicAccessBlock
	// requesterPays: others than the owner's account must say that they will pay.
	requesterPays bool
	policy        *policy.Policy // nil: there is none
	// confirmed: the policy's denials bind the owner's account, too, in what concerns it.
	confirmed bool
	// unreadable: there is a policy that cannot be understood, so that it denies
	// everything.
	unreadable bool
}

func (b *bucketRules) aclsDisabled() bool { return b.ownership == s3xml.BucketOwnerEnforced }

// rules reads what the documents of a bucket say of every request to it, once per
// request. A bucket that has none of them costs nothing.
func (r *Request) rules(b *fsm.Bucket) (bucketRules, error) {
	const (
		ownership = event.DocumentKind_DOCUMENT_KIND_OWNERSHIP_CONTROLS
		block     = event.DocumentKind_DOCUMENT_KIND_PUBLIC_ACCESS_BLOCK
		payment   = event.DocumentKind_DOCUMENT_KIND_REQUEST_PAYMENT
		policies  = event.DocumentKind_DOCUMENT_KIND_POLICY
	)
	if known, ok := r.rulesOf[b.Bucket]; ok {
		return known, nil
	}
	var out bucketRules
	if b.Documents&(1<<ownership|1<<block|1<<payment|1<<policies) == 0 {
		return out, nil
	}
	var o s3xml.OwnershipControls
	if ok, err := r.decodeDocument(b, ownership, &o); err != nil {
		return out, err
	} else if ok {
		out.ownership = o.Rules[0].ObjectOwnership
	}
	if _, err := r.decodeDocument(b, block, &out.block); err != nil {
		return out, err
	}
	var p s3xml.RequestPaymentConfiguration
	if ok, err := r.decodeDocument(b, payment, &p); err != nil {
		return out, err
	} else if ok {
		out.requesterPays = p.Payer == s3xml.PayerRequester
	}
	if err := r.policyOf(b, &out); err != nil {
		return out, err
	}
	r.remember(b, out)
	return out, nil
}

func (r *Request) remember(b *fsm.Bucket, rules bucketRules) {
	if r.rulesOf == nil {
		r.rulesOf = make(map[uint64]bucketRules)
	}
	r.rulesOf[b.Bucket] = rules
}

func readBucketPolicy(text []byte) (*policy.Policy, error) { return policy.Parse(text, policy.Bucket) }

// policyOf reads a bucket's policy into its rules.
func (r *Request) policyOf(b *fsm.Bucket, out *bucketRules) error {
	if !b.Lists(event.DocumentKind_DOCUMENT_KIND_POLICY) {
		return nil
	}
	doc, err := r.view.Document(b.Bucket, event.DocumentKind_DOCUMENT_KIND_POLICY)
	if err != nil || doc == nil {
		return err
	}
	out.confirmed = doc.Confirmed
	if out.policy, err = r.server.policies.parse(doc.Text); err != nil {
		r.server.Logger.Error("a bucket's policy cannot be read: it denies everything", "request", r.RequestID(), "bucket", b.Name, "err", err)
		out.unreadable = true
	}
	return nil
}

// admitPayer refuses who does not say that it will pay, where it has to.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
func (r *Request) admitPayer(b *fsm.Bucket) error {
	rules, err := r.rules(b)
	if err != nil || !rules.requesterPays || !r.principal.Anonymous() && r.principal.CanonicalID == b.Owner {
		return err
	}
	if r.principal.Anonymous() || r.Header.Get("X-Amz-Request-Payer") != "requester" {
		return s3err.New("AccessDenied")
	}
	r.charged = true
	return nil
}

// objectOwner is the owner of an object in the request's bucket as it is shown. Where
// access control lists are disabled everything is the bucket owner's, whoever put it
// before they were.
func (r *Request) objectOwner(canonicalID string) *s3xml.Owner {
	if rules := r.rulesOf[r.bucket.Bucket]; rules.aclsDisabled() { // admit has read them
		canonicalID = r.bucket.Owner
	}
	return r.owner(canonicalID)
}
