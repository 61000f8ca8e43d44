package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/merkle"
)

// A checkpoint is a signed note (https://c2sp.org/tlog-checkpoint):
//
//	<origin>\n
//	<number of leaves, decimal>\n
//	<root hash, base64>\n
//	\n
//	— <key name> <base64 of key hash and signature>\n
//
// The origin names the ledger; lines after the root are reserved by that
// specification and used by no release so far, so they read as newer.
const maxCheckpointBytes = 64 << 10

// ErrSignature says that no known key has signed a checkpoint, or that a known
// key's signature on it is wrong.
var ErrSignature = errors.New("checkpoint is not signed by the ledger's key")

// Checkpoint is a signed tree head.
type Checkpoint struct {
	Origin string
	Tree   tlog.Tree
	Note   []byte // the signed note it was read from
}

// OpenCheckpoint decodes a signed note and checks that a key of keys has signed
// it for origin. Errors: event.ErrMalformed, event.ErrNewer, ErrSignature.
func OpenCheckpoint(msg []byte, origin string, keys note.Verifiers) (Checkpoint, error) {
	c, err := parseCheckpoint(msg)
	if err == nil {
		err = c.verify(origin, keys)
	}
	if err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}

// parseCheckpoint decodes a signed note without looking at its signatures.
func parseCheckpoint(msg []byte) (Checkpoint, error) {
	bad := func(what string) (Checkpoint, error) {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint %s", event.ErrMalformed, what)
	}
	end := bytes.LastIndex(msg, []byte("\n\n"))
	if end < 0 || len(msg) > maxCheckpointBytes {
		return bad("is not a signed note")
	}
	lines := strings.Split(string(msg[:end]), "\n")
	if len(lines) < 3 || validOrigin(lines[0]) != nil {
		return bad("without origin, size and root")
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > merkle.MaxSize || strconv.FormatUint(size, 10) != lines[1] {
		return bad("with a bad size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return bad("with a bad root")
	}
	if len(lines) > 3 {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint of %d lines", event.ErrNewer, len(lines))
	}
	tree := tlog.Tree{N: int64(size), Hash: tlog.Hash(root)}
	return Checkpoint{Origin: lines[0], Tree: tree, Note: bytes.Clone(msg)}, nil
}

// verify checks origin and signature.
func (c *Checkpoint) verify(origin string, keys note.Verifiers) error {
	if c.Origin != origin {
		return fmt.Errorf("%w: it is that of %q, not of %q", ErrSignature, c.Origin, origin)
	}
	if _, err := note.Open(c.Note, keys); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// CheckpointAt is a checkpoint of the first size sequences: signed anew, unless it is the latest
// one. It is consistent with every other by construction: its root is the archive's own.
func (a *Archive) CheckpointAt(size uint64) (Checkpoint, error) {
	s := a.state.Load()
	if s.signed.Note != nil && uint64(s.signed.Tree.N) == size {
		return s.signed, nil
	}
	if a.o.Signer == nil {
		return Checkpoint{}, fmt.Errorf("ledger: nobody is here to sign a tree of %d sequences", size)
	}
	root, err := a.root(s, size)
	if err != nil {
		return Checkpoint{}, err
	}
	return a.o.sign(tlog.Tree{}, tlog.Tree{N: int64(size), Hash: root}, nil)
}

// checkpointText is the text that is signed.
func checkpointText(origin string, t tlog.Tree) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, t.N, t.Hash)
}

// validOrigin refuses an origin that a checkpoint cannot carry.
func validOrigin(origin string) error {
	if origin == "" || !utf8.ValidString(origin) || strings.IndexFunc(origin, unicode.IsControl) >= 0 {
		return fmt.Errorf("ledger: bad origin %q", origin)
	}
	return nil
}

// heads are the tree heads found on disk; a size of 0 stands for none.
type heads struct {
	signed Checkpoint
	head   tlog.Tree
}

// size is the number of leaves that are durable: both heads are written only
// after everything below them.
func (h *heads) size() uint64 { return uint64(max(h.signed.Tree.N, h.head.N)) }

// tree is the larger of the heads.
func (h *heads) tree() tlog.Tree {
	if h.signed.Tree.N >= h.head.N {
		return h.signed.Tree
	}
	return h.head
}

// readHeads reads the heads without checking a signature.
func readHeads(f *files) (heads, error) {
	var h heads
	msg, err := f.readIfAny(CheckpointPath, maxCheckpointBytes)
	if err == nil && msg != nil {
		h.signed, err = parseCheckpoint(msg)
	}
	if err != nil {
		return h, err
	}
	b, err := f.readIfAny(headPath, maxCheckpointBytes)
	if err == nil && b != nil {
		h.head, err = decodeHead(b)
	}
	return h, err
}

// sign signs the head of a tree after checking, on the stored tiles that r reads,
// that the tree prev is a prefix of it: two checkpoints that are not consistent
// would brand the ledger for good.
func (o *Options) sign(prev, t tlog.Tree, r tlog.HashReader) (Checkpoint, error) {
	if prev.N > 0 {
		proof, err := tlog.ProveTree(t.N, prev.N, r)
		if err == nil {
			err = tlog.CheckTree(proof, t.N, t.Hash, prev.N, prev.Hash)
		}
		if err != nil {
			return Checkpoint{}, fmt.Errorf("ledger: tree of %d leaves is not consistent with the checkpoint of %d: %w", t.N, prev.N, err)
		}
	}
	msg, err := note.Sign(&note.Note{Text: checkpointText(o.Origin, t)}, o.Signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: signing: %w", err)
	}
	return OpenCheckpoint(msg, o.Origin, o.Verifiers)
}
