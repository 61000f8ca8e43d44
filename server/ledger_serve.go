package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/server/audit"
	"ironman/wal/ledger"
)

// LedgerHead is what the newest checkpoint of a node that runs vouches for.
type LedgerHead struct {
	Events     uint64 `json:"events"`
	Root       string `json:"root"` // base64, as in the checkpoint
	RootHex    string `json:"root_hex"`
	Origin     string `json:"origin"`
	Key        string `json:"key"`        // the ledger's verifier key, by the node's state
	Checkpoint string `json:"checkpoint"` // the signed note
}

// LedgerGrowth proves that a ledger is where a later one begins.
type LedgerGrowth struct {
	Sizes [2]int64     `json:"sizes"`
	Roots [2]tlog.Hash `json:"roots"`
	Proof []tlog.Hash  `json:"proof"` // RFC 6962: tlog.CheckTree checks it
	Rest  []tlog.Hash  `json:"rest"`  // from the later one to what the checkpoint vouches for
	Head  *LedgerHead  `json:"head"`
}

// LedgerVerified is what a verification of a ledger came to.
type LedgerVerified struct {
	LedgerHead
	Erased ledger.Erased `json:"erased"`
}

// ledgerLine is a line of the answer to a request to verify: how far it is, or, as the last
// one, what came of it.
type ledgerLine struct {
	Done     uint64          `json:"done,omitempty"`
	Total    uint64          `json:"total,omitempty"`
	Verified *LedgerVerified `json:"verified,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// ledgerVerifications is how many may be under way at once: each reads all of the ledger.
const ledgerVerifications = 1

// archive is the node's ledger, with its verifier key.
func (n *Node) archive() (*ledger.Archive, string, error) {
	a := n.log.Ledger()
	if a == nil {
		return nil, "", fmt.Errorf("%w: the ledger is not open yet", errNotNow)
	}
	c, err := n.cluster()
	return a, c.GetLedgerKey(), err
}

func headOf(a *ledger.Archive, key string) (*LedgerHead, error) {
	c, ok := a.Checkpoint()
	if !ok {
		return nil, fmt.Errorf("%w: the ledger has no checkpoint before its first 256 events are there", errNotNow)
	}
	return &LedgerHead{
		Events: uint64(c.Tree.N), Root: c.Tree.Hash.String(), RootHex: hex.EncodeToString(c.Tree.Hash[:]), Origin: c.Origin, Key: key, Checkpoint: string(c.Note),
	}, nil
}

// ProveEvent makes a file which proves that an event is in the ledger (audit.Check). The last
// events, up to 255, are vouched for once their bundle is full.
func (n *Node) ProveEvent(seq uint64) ([]byte, error) {
	a, key, err := n.archive()
	if err != nil {
		return nil, err
	}
	if seq >= a.Size() {
		return nil, unsigned(a)
	}
	// Not as the ledger's files have it: what was erased may still stand there.
	records, err := n.log.Records(seq, 1)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, unsigned(a)
	}
	b, err := audit.ProveArchived(a, &records[0], key)
	if errors.Is(err, audit.ErrUnsigned) {
		err = unsigned(a)
	}
	return b, err
}

func unsigned(a *ledger.Archive) error {
	c, _ := a.Checkpoint()
	return fmt.Errorf("%w: this node's checkpoint is of the first %d events, and the next comes when 256 more are there", errNoObject, c.Tree.N)
}

// LedgerConsistency proves that the ledger of the first from events is where that of the first to begins.
func (n *Node) LedgerConsistency(from, to uint64) (*LedgerGrowth, error) {
	a, key, err := n.archive()
	if err != nil {
		return nil, err
	}
	head, err := headOf(a, key)
	if err != nil {
		return nil, err
	}
	if from == 0 || from > to || to > head.Events {
		return nil, fmt.Errorf("%w: of 0 < %d <= %d <= %d events one is not so", errBadAsk, from, to, head.Events)
	}
	g := &LedgerGrowth{Sizes: [2]int64{int64(from), int64(to)}, Head: head}
	for i, size := range []uint64{from, to} {
		if g.Roots[i], err = a.Root(size); err != nil {
			return nil, err
		}
	}
	if g.Proof, err = a.Consistency(from, to); err == nil {
		g.Rest, err = a.Consistency(to, head.Events)
	}
	return g, err
}

// VerifyLedger recomputes every hash, signature and payload of the ledger's files while the
// node runs. What is missing of payloads must have been erased by an event that this node has.
func (n *Node) VerifyLedger(ctx context.Context, progress func(done, total uint64)) (*LedgerVerified, error) {
	a, key, err := n.archive()
	if err != nil {
		return nil, err
	}
	head, err := headOf(a, key) // of before: what comes meanwhile may or may not be verified
	if err != nil {
		return nil, err
	}
	v, err := a.VerifyBefore(ctx, n.recordsFrom, progress)
	if err != nil {
		return nil, err
	}
	return &LedgerVerified{LedgerHead: *head, Erased: v.Erased}, nil
}

// recordsFrom gives the records of the events from a sequence on that this node has applied.
func (n *Node) recordsFrom(from uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for {
			records, err := n.log.Records(from, changesBatch)
			if err != nil {
				yield(ledger.Record{Seq: from}, err)
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if len(records) == 0 {
				return
			}
			from += uint64(len(records))
		}
	}
}

// serveProof answers GET /-/ledger/proof/SEQ.
func (n *Node) serveProof(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil {
		n.changesError(w, fmt.Errorf("%w: %q is not a sequence", errBadAsk, r.PathValue("seq")))
		return
	}
	b, err := n.ProveEvent(seq)
	if err != nil {
		n.changesError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(b) // whoever asked may be gone
}

// serveConsistency answers GET /-/ledger/consistency?from=A&to=B.
func (n *Node) serveConsistency(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err1 := numberIn(q, "from")
	to, err2 := numberIn(q, "to")
	err := errors.Join(err1, err2)
	var g *LedgerGrowth
	if err == nil {
		g, err = n.LedgerConsistency(from, to)
	}
	if err != nil {
		n.changesError(w, err)
		return
	}
	writeJSON(w, g)
}

// serveVerify answers GET /-/ledger/verify with lines of JSON: it may take long.
func (n *Node) serveVerify(w http.ResponseWriter, r *http.Request) {
	select {
	case n.verifications <- struct{}{}:
		defer func() { <-n.verifications }()
	default:
		n.changesError(w, fmt.Errorf("%w: the ledger is being verified already", errNotNow))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.changes.ending, cancel)()
	tell := linesTo(w, cancel)
	tell(ledgerLine{})
	said := time.Now()
	verified, err := n.VerifyLedger(ctx, func(done, total uint64) {
		if time.Since(said) >= eraseSays {
			said = time.Now()
			tell(ledgerLine{Done: done, Total: total})
		}
	})
	if err != nil {
		tell(ledgerLine{Error: err.Error()})
		return
	}
	tell(ledgerLine{Verified: verified})
}
