package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ironman/server/audit"
	"ironman/wal/ledger"
	"ironman/wal/reads"
)

// Bounds of one answer. Whoever reaches one is told with what to go on.
const (
	readsMax   = 1000
	readsMost  = 10_000
	readsLooks = 100_000 // records that are looked at
)

// readsLine is a line of the answer to a request for records: one of them, or, as the last
// one, where to go on.
type readsLine struct {
	Read  *audit.Read `json:"read,omitempty"`
	Next  uint64      `json:"next,omitempty"` // 0: behind the last durable record
	Last  bool        `json:"last,omitempty"` // nothing follows
	Error string      `json:"error,omitempty"`
}

// readsQuery is what is asked of a log of reads.
type readsQuery struct {
	filter audit.ReadFilter
	max    int
}

// parseReads reads a query. What it does not know it refuses: a filter that nobody applies
// would give somebody more than he asked for.
func parseReads(q url.Values) (*readsQuery, error) {
	x := &readsQuery{max: readsMax}
	for name, values := range q {
		if len(values) > 1 && name != "operation" {
			return nil, fmt.Errorf("%w: %s is given twice", errBadAsk, name)
		}
		if err := x.set(name, values); err != nil {
			return nil, fmt.Errorf("%w: %s=%q: %w", errBadAsk, name, values[0], err)
		}
	}
	return x, nil
}

func (x *readsQuery) set(name string, values []string) (err error) {
	value, f := values[0], &x.filter
	switch name {
	case "from":
		f.From, err = strconv.ParseUint(value, 10, 64)
	case "since":
		f.Since, err = time.Parse(time.RFC3339Nano, value)
	case "until":
		f.Until, err = time.Parse(time.RFC3339Nano, value)
	case "bucket":
		f.Bucket = value
	case "key":
		f.Key = value
	case "prefix":
		f.Prefix = value
	case "actor":
		f.Actor = value
	case "operation":
		f.Operations = words(values)
	case "refused":
		f.Refused, err = strconv.ParseBool(value)
	case "max":
		if x.max, err = strconv.Atoi(value); err == nil && (x.max < 1 || x.max > readsMost) {
			err = fmt.Errorf("not from 1 to %d", readsMost)
		}
	default:
		err = errors.New("nobody knows that")
	}
	return err
}

// serveReads answers GET /-/reads with records of this node's log, as lines of JSON.
func (n *Node) serveReads(w http.ResponseWriter, r *http.Request) {
	q, err := parseReads(r.URL.Query())
	if err == nil && n.reads == nil {
		err = n.errNoReads()
	}
	if err != nil {
		n.changesError(w, err)
		return
	}
	v, err := n.machine.View()
	if err != nil {
		n.changesError(w, err)
		return
	}
	defer v.Close()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.changes.ending, cancel)()
	tell := linesTo(w, cancel)
	tell(&readsLine{})
	next, all, err := n.readReads(ctx, q, audit.NewWords(v, n.changes.record), func(x *audit.Read) { tell(&readsLine{Read: x}) })
	last := &readsLine{Next: next, Last: all}
	if err != nil {
		last.Error = err.Error()
	}
	tell(last)
}

// readReads tells of records until a bound is reached, and where to go on.
func (n *Node) readReads(ctx context.Context, q *readsQuery, words *audit.Words, tell func(*audit.Read)) (next uint64, all bool, err error) {
	next = max(q.filter.From, n.reads.log.Kept())
	told := 0
	for looks := 0; ; {
		for r, err := range n.reads.log.Records(next) {
			if errors.Is(err, ledger.ErrDropped) {
				break // it went meanwhile
			}
			if err == nil {
				err = errors.Join(ctx.Err(), r.Check())
			}
			if err != nil {
				return next, false, fmt.Errorf("record %d of this node's log of reads: %w", next, err)
			}
			if told == q.max || looks == readsLooks {
				return next, false, nil
			}
			x, err := words.Read(&r)
			if err != nil {
				return next, false, err
			}
			looks++
			next = r.Seq + 1
			if q.filter.Takes(x) {
				told++
				tell(x)
			}
		}
		kept := n.reads.log.Kept()
		if next >= kept {
			return next, true, nil
		}
		next = kept
	}
}

// ReadsHead is the signed head of a node's log of reads.
type ReadsHead struct {
	Node       uint32 `json:"node"`
	Records    uint64 `json:"records"`
	Root       string `json:"root"`
	Origin     string `json:"origin"`
	Key        string `json:"key"`        // the ledger's verifier key, by the node's state
	Checkpoint string `json:"checkpoint"` // the signed note
}

func (n *Node) readsHead() (*ReadsHead, error) {
	if n.reads == nil {
		return nil, n.errNoReads()
	}
	cluster, err := n.cluster()
	if err != nil {
		return nil, err
	}
	if n.reads.log.Head().N == 0 {
		return nil, fmt.Errorf("%w: nothing is recorded yet", errNotNow)
	}
	c, err := n.reads.log.Checkpoint()
	if err != nil {
		return nil, err
	}
	return &ReadsHead{
		Node: n.identity.Node, Records: uint64(c.Tree.N), Root: c.Tree.Hash.String(), Origin: c.Origin, Key: cluster.GetLedgerKey(), Checkpoint: string(c.Note),
	}, nil
}

// serveReadsCheckpoint answers GET /-/reads/checkpoint.
func (n *Node) serveReadsCheckpoint(w http.ResponseWriter, _ *http.Request) {
	h, err := n.readsHead()
	if err != nil {
		n.changesError(w, err)
		return
	}
	writeJSON(w, h)
}

// VerifiedReads is what a verification of a log of reads found.
type VerifiedReads struct {
	Node    uint32          `json:"node"`
	Records uint64          `json:"records"`
	Kept    uint64          `json:"kept"` // the first that is kept
	Root    string          `json:"root"`
	Noted   int             `json:"noted"` // heads in the ledger that it bears out
	Dropped uint64          `json:"dropped"`
	Starts  int             `json:"starts"`
	SetBack []reads.SetBack `json:"set_back,omitempty"`
}

// TellReads puts what was found into the form of answers.
func TellReads(node uint32, v *reads.Verified) *VerifiedReads {
	if v == nil {
		return nil
	}
	return &VerifiedReads{
		Node: node, Records: uint64(v.Tree.N), Kept: v.Kept, Root: v.Tree.Hash.String(), Noted: v.Noted, Dropped: v.Dropped, Starts: v.Starts, SetBack: v.SetBack,
	}
}

// VerifyReads recomputes this node's log of reads while it runs, and compares it with all
// that the ledger knows of it.
func (n *Node) VerifyReads(ctx context.Context, progress func(done, total uint64)) (*VerifiedReads, error) {
	if n.reads == nil {
		return nil, n.errNoReads()
	}
	heads, err := n.notedReads(ctx)
	if err != nil {
		return nil, err
	}
	v, err := n.reads.log.Verify(ctx, heads, progress)
	return TellReads(n.identity.Node, v), err
}

// readsVerifyLine is a line of the answer to a request to verify.
type readsVerifyLine struct {
	Done     uint64         `json:"done,omitempty"`
	Total    uint64         `json:"total,omitempty"`
	Verified *VerifiedReads `json:"verified,omitempty"`
	Error    string         `json:"error,omitempty"`
}

// serveReadsVerify answers GET /-/reads/verify with lines of JSON: it may take long.
func (n *Node) serveReadsVerify(w http.ResponseWriter, r *http.Request) {
	if n.reads == nil {
		n.changesError(w, n.errNoReads())
		return
	}
	select {
	case n.verifications <- struct{}{}:
		defer func() { <-n.verifications }()
	default:
		n.changesError(w, fmt.Errorf("%w: something is being verified already", errNotNow))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.changes.ending, cancel)()
	tell := linesTo(w, cancel)
	tell(readsVerifyLine{})
	said := time.Now()
	v, err := n.VerifyReads(ctx, func(done, total uint64) {
		if time.Since(said) >= eraseSays {
			said = time.Now()
			tell(readsVerifyLine{Done: done, Total: total})
		}
	})
	last := readsVerifyLine{Verified: v}
	if err != nil {
		last.Error = err.Error()
	}
	tell(last)
}
