package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/server"
	"ironman/server/audit"
	"ironman/wal/ledger"
)

// What a node that runs says of its ledger is checked here as far as it can be: signatures,
// by --key if that is given, and proofs. That the files behind it are whole only the node can say.

// onlineWithKey is online for what a key of the ledger can check.
func (f *auditFlags) onlineWithKey(addresses []string) (*feedSource, error) {
	return (&sourceFlags{addresses: addresses, dir: f.dir}).open()
}

// trusts makes sure that a checkpoint is signed by the ledger's key: that which is given, or
// that which the node names.
func (f *auditFlags) trusts(h *server.LedgerHead) error {
	key := f.key
	if key == "" {
		key = h.Key
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("the verifier key: %w", err)
	}
	c, err := ledger.OpenCheckpoint([]byte(h.Checkpoint), v.Name(), note.VerifierList(v))
	if err != nil {
		return err
	}
	if uint64(c.Tree.N) != h.Events || c.Tree.Hash.String() != h.Root {
		return errors.New("the node's checkpoint is not of what it says")
	}
	return nil
}

// verifyOnline has a node verify the files of its ledger.
func (f *auditFlags) verifyOnline(out io.Writer, admin []string, root knownRoot) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := f.onlineWithKey(admin)
	if err != nil {
		return err
	}
	began := time.Now()
	h, err := s.verified(ctx)
	if err != nil {
		return err
	}
	if err := f.trusts(&h.LedgerHead); err != nil {
		return err
	}
	hash, err := tlog.ParseHash(h.Root)
	if err != nil {
		return err
	}
	if err := root.check(tlog.Tree{N: int64(h.Events), Hash: hash}); err != nil {
		return err
	}
	return f.tellVerified(out, verified{
		Events: h.Events, Signed: h.Events, Payloads: true, Erased: h.Erased, Root: h.Root, RootHex: rootHex(hash), Origin: h.Origin, Key: h.Key, Took: time.Since(began),
	})
}

// verified asks the first node that can be reached.
func (s *feedSource) verified(ctx context.Context) (h *server.LedgerVerified, err error) {
	for range s.addresses {
		var resp *http.Response
		if resp, err = s.ask(ctx, http.MethodGet, "/-/ledger/verify", url.Values{}, nil); err == nil {
			h, err = readVerified[server.LedgerVerified](resp.Body)
			return h, errors.Join(err, resp.Body.Close())
		}
		if final(err) || ctx.Err() != nil {
			return nil, err
		}
		s.at = (s.at + 1) % len(s.addresses)
	}
	return nil, err
}

// readVerified shows how far a node's verification is, and returns what it came to: also with
// an error, if that has something to tell.
func readVerified[V any](body io.Reader) (*V, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	bar := newProgress("verified")
	defer bar.end()
	for lines.Scan() {
		var line struct {
			Done, Total uint64
			Verified    *V
			Error       string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		switch {
		case line.Error != "":
			return line.Verified, errors.New(line.Error)
		case line.Verified != nil:
			return line.Verified, nil
		}
		bar.at(line.Done, line.Total)
	}
	return nil, errors.Join(errors.New("the answer broke off"), lines.Err())
}

// proveOnline has a node prove that an event is in its ledger, and checks the proof.
func (f *auditFlags) proveOnline(admin []string, seq uint64) ([]byte, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := f.onlineWithKey(admin)
	if err != nil {
		return nil, err
	}
	for range s.addresses {
		var b []byte
		if b, err = f.proofOf(ctx, s, seq); err == nil || ctx.Err() != nil {
			return b, err
		}
		// What one node has not archived yet, or has damaged, another one may have.
		s.at = (s.at + 1) % len(s.addresses)
	}
	return nil, err
}

// proofOf takes a proof of an event from the node whose turn it is, and checks it by the key
// that is given or, without one, by that which the node names.
func (f *auditFlags) proofOf(ctx context.Context, s *feedSource, seq uint64) ([]byte, error) {
	key := f.key
	if key == "" {
		b, err := s.read(ctx, "/-/ledger/consistency", url.Values{"from": {"1"}, "to": {"1"}}, maxHeadBytes)
		if err != nil {
			return nil, err
		}
		var g server.LedgerGrowth
		if err := json.Unmarshal(b, &g); err != nil || g.Head == nil {
			return nil, errors.Join(errors.New("the node does not tell the ledger's key"), err)
		}
		key = g.Head.Key
	}
	// One byte more, by which a proof that is too long shows.
	b, err := s.read(ctx, "/-/ledger/proof/"+strconv.FormatUint(seq, 10), url.Values{}, audit.MaxProofBytes+1)
	if err != nil {
		return nil, err
	}
	p, err := audit.Check(b, key)
	if err == nil && p.Seq != seq {
		err = fmt.Errorf("it is of event %d, not %d", p.Seq, seq)
	}
	if err != nil {
		return nil, fmt.Errorf("what %s says is no proof of event %d: %w", s.addresses[s.at], seq, err)
	}
	return b, nil
}

// maxHeadBytes bounds what a node says of the head of its ledger.
const maxHeadBytes = 1 << 20

// read reads so much of an answer of the node whose turn it is.
func (s *feedSource) read(ctx context.Context, path string, q url.Values, most int64) ([]byte, error) {
	resp, err := s.ask(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return b, errors.Join(err, resp.Body.Close())
}

// consistentOnline has a node prove that a ledger is where a later one begins, and checks it.
func (f *auditFlags) consistentOnline(admin []string, a, b uint64) (old, grown tlog.Tree, p tlog.TreeProof, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := f.onlineWithKey(admin)
	if err != nil {
		return old, grown, nil, err
	}
	var g server.LedgerGrowth
	q := url.Values{"from": {strconv.FormatUint(a, 10)}, "to": {strconv.FormatUint(b, 10)}}
	if err := s.exchange(ctx, http.MethodGet, "/-/ledger/consistency", q, &g); err != nil {
		return old, grown, nil, err
	}
	if g.Head == nil || g.Sizes != [2]int64{int64(a), int64(b)} {
		return old, grown, nil, errors.New("the node answers something else")
	}
	if err := f.trusts(g.Head); err != nil {
		return old, grown, nil, err
	}
	old, grown = tlog.Tree{N: g.Sizes[0], Hash: g.Roots[0]}, tlog.Tree{N: g.Sizes[1], Hash: g.Roots[1]}
	signed, err := tlog.ParseHash(g.Head.Root)
	if err == nil {
		err = tlog.CheckTree(g.Rest, int64(g.Head.Events), signed, grown.N, grown.Hash)
	}
	if err == nil {
		err = tlog.CheckTree(g.Proof, grown.N, grown.Hash, old.N, old.Hash)
	}
	return old, grown, g.Proof, err
}
