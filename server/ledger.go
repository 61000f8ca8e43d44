package server

import "ironman/wal/ledger"

// LedgerStatus is what a node says of its ledger and of the log before it.
type LedgerStatus struct {
	Retention string `json:"retention"` // always "kept for ever"
	Events    uint64 `json:"events"`    // that were applied; each has a leaf for ever
	Archived  uint64 `json:"archived"`  // of those, in the ledger's files; the others' leaves are in the state
	Missing   uint64 `json:"missing"`   // of those, being fetched from other nodes
	// Bytes of the ledger's files; nil: they are being counted.
	Bytes *LedgerBytes `json:"bytes,omitempty"`
	// ErasedItems is how many payload items were erased here since the node started.
	ErasedItems int64 `json:"erased_items_since_start"`
	// LogTruncated is the index up to which Raft's log is gone. Of the log's files it still
	// needs those of LogLiveBytes; those of LogRetainedBytes wait for the ledger.
	LogTruncated     uint64 `json:"log_truncated_index"`
	LogLiveBytes     int64  `json:"log_live_bytes"`
	LogRetainedBytes int64  `json:"log_retained_bytes"`
}

// LedgerBytes are bytes of files by what they hold.
type LedgerBytes struct {
	Tiles    int64 `json:"tiles"`
	Entries  int64 `json:"entries"`
	Payloads int64 `json:"payloads"`
}

// ledgerKept is how long the ledger is kept. Only payload items can be erased from it.
const ledgerKept = "kept for ever"

func (n *Node) ledgerStatus() LedgerStatus {
	s := LedgerStatus{Retention: ledgerKept, Events: n.machine.Applied().Next, Archived: n.log.Archived(), LogTruncated: n.log.Truncated()}
	from, to := n.log.Backfilling()
	s.Missing = to - from
	s.LogLiveBytes, s.LogRetainedBytes = n.log.Bytes()
	sizes, known := n.log.LedgerSizes()
	s.ErasedItems = sizes.Erased
	if known {
		s.Bytes = &LedgerBytes{Tiles: sizes.Tiles, Entries: sizes.Entries, Payloads: sizes.Payloads}
	}
	return s
}

// ledgerPart is a kind of files of the ledger.
type ledgerPart struct {
	name string
	of   func(ledger.Sizes) int64
}

var ledgerParts = [...]ledgerPart{
	{"tiles", func(s ledger.Sizes) int64 { return s.Tiles }},
	{"entries", func(s ledger.Sizes) int64 { return s.Entries }},
	{"payloads", func(s ledger.Sizes) int64 { return s.Payloads }},
}
