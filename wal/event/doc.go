// Package event is the vocabulary of the store: what a mutation is (Proposal,
// Statement, Item), what apply made of it (Outcome, Envelope), and the parts
// that both share (Blob, ACL, Version ...). It knows bytes and hashes; it knows
// no disk, no network, no clock and no state.
//
// Invariants:
//   - A proposal's bytes are never re-encoded after the proposer marshalled them.
//   - Everything that apply writes (envelopes, outcomes, rows) is encoded by
//     Canonical, so that equal values are equal bytes in every release.
//   - Decoders are strict: an unknown field, kind or enum value is ErrNewer, and
//     the node that meets it stops; it never skips what it does not understand.
//   - No secret is ever in an event but as ciphertext.
package event

//go:generate protoc --proto_path=../.. --go_out=../.. --go_opt=module=ironman wal/event/event.proto wal/event/read.proto

// FeatureLevel is the newest vocabulary this binary writes and understands.
//
//	1  one node
//	2  NodeAdded, NodeRemoved; a node that nobody added may not start, but the first
//	3  versions, object lock, tags, quotas, appends and renames; principals and policies
//	4  providers of identities (OpenID Connect); tags of a policy that is there; epochs of a
//	   restored cluster, whose blobs are placed anew; heads of logs of reads
const FeatureLevel = 4

// System is the principal of the store's own events.
const System = "system"

// Limits of one proposal. A larger one is refused before it is proposed.
const (
	// MaxProposalBytes bounds the marshalled proposal.
	MaxProposalBytes = 2 << 20
	// MaxItems bounds the payload items of one event: a client item, and a key
	// for each of the 1,000 targets of a multi-key delete, with room to spare.
	MaxItems = 4096
	// SaltBytes is the length of an item's salt.
	SaltBytes = 16
	// RequestIDBytes is the length of a request id.
	RequestIDBytes = 16
	// MaxPrincipalBytes bounds a principal id, which stands in every envelope.
	MaxPrincipalBytes = 1024
	// MaxInlineOutcome is the longest canonical outcome that stands in an
	// envelope itself; a longer one is committed to by its hash.
	MaxInlineOutcome = 4096
)
