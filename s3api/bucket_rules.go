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
	if known, ok := r.rulesOf[b.Bucket]; ok {
		return known, nil
	}
	if b.Documents&(1<<ownershipKind|1<<blockKind|1<<paymentKind|1<<policyKind) == 0 {
		return bucketRules{}, nil
	}
	out, err := r.readRules(r.view, b)
	if err == nil {
		r.remember(b, out)
	}
	return out, err
}

const (
	ownershipKind = event.DocumentKind_DOCUMENT_KIND_OWNERSHIP_CONTROLS
	blockKind     = event.DocumentKind_DOCUMENT_KIND_PUBLIC_ACCESS_BLOCK
	paymentKind   = event.DocumentKind_DOCUMENT_KIND_REQUEST_PAYMENT
	policyKind    = event.DocumentKind_DOCUMENT_KIND_POLICY
)

// readRules reads the rules of a bucket at a view, which need not be that of the present.
func (r *Request) readRules(view *fsm.View, b *fsm.Bucket) (out bucketRules, err error) {
	var o s3xml.OwnershipControls
	if ok, err := decodeDocument(view, b, ownershipKind, &o); err != nil {
		return out, err
	} else if ok {
		out.ownership = o.Rules[0].ObjectOwnership
	}
	if _, err := decodeDocument(view, b, blockKind, &out.block); err != nil {
		return out, err
	}
	var p s3xml.RequestPaymentConfiguration
	if ok, err := decodeDocument(view, b, paymentKind, &p); err != nil {
		return out, err
	} else if ok {
		out.requesterPays = p.Payer == s3xml.PayerRequester
	}
	err = r.policyOf(view, b, &out)
	return out, err
}

func (r *Request) remember(b *fsm.Bucket, rules bucketRules) {
	if r.rulesOf == nil {
		r.rulesOf = make(map[uint64]bucketRules)
	}
	r.rulesOf[b.Bucket] = rules
}

func readBucketPolicy(text []byte) (*policy.Policy, error) { return policy.Parse(text, policy.Bucket) }

// policyOf reads a bucket's policy into its rules.
func (r *Request) policyOf(view *fsm.View, b *fsm.Bucket, out *bucketRules) error {
	doc, err := document(view, b, policyKind)
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
	rules := r.rulesOf[r.bucket.Bucket] // admit has read them
	if r.past != nil {
		rules = r.past.rules
	}
	if rules.aclsDisabled() {
		canonicalID = r.bucket.Owner
	}
	return r.owner(canonicalID)
}
