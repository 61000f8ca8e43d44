package access

// AnonymousID is the canonical id that owns what an anonymous request creates.
// No principal has it: what is anonymous is nobody's, not everybody's.
const AnonymousID = "65a011a29cdf8ec533ec3d1ccaae921c"

// Principal is who asks. The zero value is anonymous.
type Principal struct {
	// CanonicalID is that of the account; empty: anonymous.
	CanonicalID string
	// User is the principal id of a user of the account; empty: the account itself,
	// which may do whatever its account may. A user may do only what the account's
	// policies let it (Request.Identity).
	User string
	// Root: the account is the cluster's root account.
	Root bool
}

// Anonymous reports whether nobody signed.
func (p Principal) Anonymous() bool { return p.CanonicalID == "" }

// ID is the principal id for events: that of the user, or the account's canonical
// id; empty for anonymous.
func (p Principal) ID() string {
	if p.Anonymous() || p.User == "" {
		return p.CanonicalID
	}
	return p.User
}

// Owner is the canonical id that owns what p creates.
func (p Principal) Owner() string {
	if p.Anonymous() {
		return AnonymousID
	}
	return p.CanonicalID
}

// is reports whether p is of the account with that canonical id.
func (p Principal) is(canonicalID string) bool {
	return !p.Anonymous() && p.CanonicalID == canonicalID
}
