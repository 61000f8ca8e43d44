package event

import "ironman/wal/digest"

// Domain prefixes keep a hash of one thing from being taken for that of another.
var (
	domainStatement = []byte("ironman/statement/1\x00")
	domainItem      = []byte("ironman/item/1\x00")
	domainItems     = []byte("ironman/items/1\x00")
	domainOutcome   = []byte("ironman/outcome/1\x00")
)

// StatementHash is the hash of a proposal without its payload.
func StatementHash(statement []byte) digest.Sum {
	return digest.SHA256(domainStatement, statement)
}

// ItemHash is the salted hash of one payload item, over its marshalled bytes
// (which begin with the salt).
func ItemHash(item []byte) digest.Sum {
	return digest.SHA256(domainItem, item)
}

// ItemsHash commits to all payload items by their hashes, in order, so that one
// can be erased and the rest still be proven.
func ItemsHash(items []digest.Sum) digest.Sum {
	h := digest.NewSHA256()
	h.Write(domainItems)
	for i := range items {
		h.Write(items[i][:])
	}
	var s digest.Sum
	h.Sum(s[:0])
	return s
}

// OutcomeHash is the hash of a canonical outcome that is too long for its envelope.
func OutcomeHash(outcome []byte) digest.Sum {
	return digest.SHA256(domainOutcome, outcome)
}
