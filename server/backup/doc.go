// Package backup knows backups of a whole cluster: their format, the places that hold
// them, how a point in time is taken from a running node, and how it is listed, read and
// verified. It does not know how a cluster is made of a point again.
//
// A target holds the points of one cluster, in one epoch of its ledger:
//
//	backup.json            whose target it is: cluster, ledger's origin and key
//	ledger/...             the ledger's files: bundles of entries and payloads, and full tiles, in the
//	                       layout of C2SP tlog-tiles; the checkpoint of each point stands in the point
//	files/HH/SHA256        files by content: those of states, of entries of the log, and of lists of
//	                       blobs; HH is the first byte of the sum, in hexadecimal
//	packs/RUN/NNNNNN       bytes of blobs, one behind the other, at most MaxPackBytes
//	packs/RUN/INDEX-NNNNNN what lies where in the packs below NNNNNN that no earlier index has
//	points/SEQ.json        a point: the state that the events below SEQ made (20 digits)
//
// Invariants:
//   - A point is written last, when everything that it names is durable. What no point names is
//     an orphan, and harmless: the next run uses it, or never looks at it.
//   - Nothing that a point names is ever replaced by anything else, but for payload bundles of the
//     ledger of which something was erased by law.
//   - Whatever is read is verified before it is believed: by its SHA-256, which its name or an index
//     says, or by the ledger's tree.
//
// Bytes of blobs are as the cluster stores them: what is encrypted there is encrypted here. The
// keyring is in no backup: without it no secret of a state, and no encrypted byte, can be read.
package backup
