package audit

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

func leafHash(envelope []byte) tlog.Hash { return tlog.RecordHash(envelope) }

// MaxProofBytes bounds a file with a proof.
const MaxProofBytes = 64 << 20

// Prove makes a file which proves that an event is in the ledger: a C2SP tlog-proof whose
// extra data is the event itself. Its checkpoint is the ledger's own or, for an event that
// is behind that, one that is signed now.
func (n *Node) Prove(seq uint64) ([]byte, error) {
	r, err := n.Record(seq)
	if err != nil {
		return nil, err
	}
	a := n.log.Archive()
	c, ok := a.Checkpoint()
	var hashes tlog.RecordProof
	if ok && seq < uint64(c.Tree.N) && c.Origin == n.Origin {
		hashes, err = a.Prove(seq, uint64(c.Tree.N))
	} else {
		signed := c.Tree.N
		if err := n.agrees(); err != nil { // or a tree would be signed that the cluster does not have
			return nil, err
		}
		if c, err = a.Sign(n.tail); err != nil {
			return nil, fmt.Errorf("audit: the newest checkpoint here is of %d events, and a later one needs the node's keyring.json: %w", signed, cmp.Or(n.unsigned, err))
		}
		hashes, err = n.proveTail(seq, c.Tree.N)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return proofOf(&r, hashes, c, n.Key)
}

// ErrUnsigned says that no checkpoint vouches for an event yet.
var ErrUnsigned = errors.New("audit: no checkpoint vouches for that yet")

// ProveArchived is Node.Prove for the ledger of a node that runs, whose checkpoints are what
// there is. The key is that of the ledger.
func ProveArchived(a *ledger.Archive, r *ledger.Record, key string) ([]byte, error) {
	c, ok := a.Checkpoint()
	if !ok || r.Seq >= uint64(c.Tree.N) {
		return nil, fmt.Errorf("%w: the newest is of %d events", ErrUnsigned, c.Tree.N)
	}
	hashes, err := a.Prove(r.Seq, uint64(c.Tree.N))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return proofOf(r, hashes, c, key)
}

func proofOf(r *ledger.Record, hashes tlog.RecordProof, c ledger.Checkpoint, key string) ([]byte, error) {
	p := tlogProof{extra: appendRecord(nil, r), index: r.Seq, hashes: hashes, checkpoint: c.Note}
	b := p.marshal()
	if _, err := Check(b, key); err != nil { // nothing leaves that does not prove
		return nil, err
	}
	return b, nil
}

func (n *Node) proveTail(seq uint64, size int64) (tlog.RecordProof, error) {
	g, _, err := n.log.Archive().Grown(n.tail)
	if err != nil {
		return nil, err
	}
	return tlog.ProveRecord(size, int64(seq), g)
}

// Proven is what a proof proves.
type Proven struct {
	Entry
	Origin string    `json:"origin"`
	Tree   tlog.Tree `json:"-"`
	Size   int64     `json:"ledger_size"`
	Root   string    `json:"ledger_root"`
}

// Check checks a proof by nothing but a verifier key of the ledger. An error says that it
// proves nothing.
func Check(b []byte, key string) (*Proven, error) {
	if len(b) > MaxProofBytes {
		return nil, fmt.Errorf("audit: a proof of %d bytes", len(b))
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("audit: the verifier key: %w", err)
	}
	p, err := parseProof(b)
	if err != nil {
		return nil, err
	}
	// Of a key, its name is the ledger's origin.
	c, err := ledger.OpenCheckpoint(p.checkpoint, v.Name(), note.VerifierList(v))
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	r, err := parseRecord(p.index, p.extra)
	if err != nil {
		return nil, err
	}
	if p.index >= uint64(c.Tree.N) {
		return nil, fmt.Errorf("audit: event %d of a ledger of %d", p.index, c.Tree.N)
	}
	if err := tlog.CheckRecord(p.hashes, c.Tree.N, c.Tree.Hash, int64(p.index), leafHash(r.Envelope)); err != nil {
		return nil, fmt.Errorf("audit: the event is not in the ledger that was signed: %w", err)
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("audit: what the proof tells of the event is not what the ledger has: %w", err)
	}
	d, err := decode(r)
	if err != nil {
		return nil, err
	}
	return &Proven{Entry: *d.entry(r.Seq), Origin: c.Origin, Tree: c.Tree, Size: c.Tree.N, Root: c.Tree.Hash.String()}, nil
}

// tlogProof is a proof as https://c2sp.org/tlog-proof has it. (The public library for it
// reads no line above 64 KiB, and the extra data is one line.)
type tlogProof struct {
	extra      []byte
	index      uint64
	hashes     tlog.RecordProof
	checkpoint []byte // a signed note
}

const proofHeader = "c2sp.org/tlog-proof@v1"

func (p *tlogProof) marshal() []byte {
	b := fmt.Appendf(nil, "%s\nextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(p.extra), p.index)
	for _, h := range p.hashes {
		b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	return append(append(b, '\n'), p.checkpoint...)
}

func parseProof(b []byte) (p tlogProof, err error) {
	bad := func(what string) (tlogProof, error) {
		return tlogProof{}, fmt.Errorf("audit: not a proof: %s", what)
	}
	head, checkpoint, ok := bytes.Cut(b, []byte("\n\n"))
	lines := bytes.Split(head, []byte("\n"))
	if !ok || len(lines) < 3 || string(lines[0]) != proofHeader {
		return bad("it does not begin as one")
	}
	extra, found := bytes.CutPrefix(lines[1], []byte("extra "))
	index, found2 := bytes.CutPrefix(lines[2], []byte("index "))
	if !found || !found2 {
		return bad("it does not hold the event")
	}
	strict := base64.StdEncoding.Strict()
	if p.extra, err = strict.AppendDecode(nil, extra); err != nil {
		return bad("the event is not in base64")
	}
	if p.index, err = strconv.ParseUint(string(index), 10, 63); err != nil {
		return bad("the index is no number")
	}
	const deepest = 64
	if lines = lines[3:]; len(lines) > deepest {
		return bad("it has too many hashes")
	}
	for _, line := range lines {
		h, err := strict.AppendDecode(nil, line)
		if err != nil || len(h) != tlog.HashSize {
			return bad("a hash is none")
		}
		p.hashes = append(p.hashes, tlog.Hash(h))
	}
	p.checkpoint = checkpoint
	return p, nil
}

// errRecord says that the extra data of a proof is no record.
var errRecord = errors.New("audit: the proof does not hold the event that it is about")

// appendRecord appends a record: of envelope, statement and outcome each the length (a
// varint) and the bytes, then the items, each as a byte (1: erased) and what the others
// are; of what is erased its hash.
func appendRecord(b []byte, r *ledger.Record) []byte {
	for _, part := range [][]byte{r.Envelope, r.Statement, r.Outcome} {
		b = appendBytes(b, part)
	}
	for i := range r.Items {
		it := &r.Items[i]
		if it.Erased {
			b = appendBytes(append(b, 1), it.Hash[:])
		} else {
			b = appendBytes(append(b, 0), it.Bytes)
		}
	}
	return b
}

func appendBytes(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

func parseRecord(seq uint64, b []byte) (*ledger.Record, error) {
	r := &ledger.Record{Seq: seq}
	for _, part := range []*[]byte{&r.Envelope, &r.Statement, &r.Outcome} {
		var ok bool
		if *part, b, ok = cutBytes(b); !ok {
			return nil, errRecord
		}
	}
	for len(b) > 0 {
		var it ledger.Item
		erased := b[0]
		part, rest, ok := cutBytes(b[1:])
		switch {
		case !ok || erased > 1 || len(r.Items) == event.MaxItems:
			return nil, errRecord
		case erased == 0:
			it.Bytes = part
		case len(part) != len(it.Hash):
			return nil, errRecord
		default:
			it.Erased = true
			copy(it.Hash[:], part)
		}
		r.Items, b = append(r.Items, it), rest
	}
	return r, nil
}

func cutBytes(b []byte) (part, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	b = b[k:]
	return b[:n:n], b[n:], true
}

// Consistent proves that the ledger's first from events are where its first to ones begin:
// the roots of both, and the proof (tlog.CheckTree, which has been done).
func (n *Node) Consistent(from, to uint64) (old, grown tlog.Tree, p tlog.TreeProof, err error) {
	if from == 0 || from > to || to > n.Size() {
		return old, grown, nil, fmt.Errorf("audit: of 0 < %d <= %d <= %d events one is not so", from, to, n.Size())
	}
	g, _, err := n.log.Archive().Grown(n.tail)
	if err != nil {
		return old, grown, nil, fmt.Errorf("audit: %w", err)
	}
	for _, t := range []struct {
		tree *tlog.Tree
		size uint64
	}{{&old, from}, {&grown, to}} {
		t.tree.N = int64(t.size)
		if t.tree.Hash, err = tlog.TreeHash(t.tree.N, g); err != nil {
			return old, grown, nil, fmt.Errorf("audit: %w", err)
		}
	}
	if p, err = tlog.ProveTree(grown.N, old.N, g); err == nil {
		err = tlog.CheckTree(p, grown.N, grown.Hash, old.N, old.Hash)
	}
	if err != nil {
		return old, grown, nil, fmt.Errorf("audit: %w", err)
	}
	return old, grown, p, nil
}
