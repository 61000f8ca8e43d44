package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"ironman/erasure"
	"ironman/server/link"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// target is a disk of this node that another node asks for.
func (n *Node) target(disk uint32) (erasure.ShardTarget, error) {
	if !n.serving.Load() {
		return nil, &link.Error{Code: codeNotServing, Text: "the node does not serve yet, or no more"}
	}
	t, ok := n.blobs.Target(disk)
	if !ok {
		return nil, fmt.Errorf("%w: disk %d is not here", erasure.ErrUnavailable, disk)
	}
	return t, nil
}

// serveShardAppend appends a shard for another node, and answers once it is durable.
func (n *Node) serveShardAppend(ctx context.Context, _ uint32, request []byte) ([]byte, error) {
	disk, spec, cells, err := parseAppend(request)
	if err != nil {
		return nil, err
	}
	for i := range cells {
		if digest.CRC32C(cells[i].Body) != cells[i].CRC {
			return nil, fmt.Errorf("%w: cell %d changed on its way", erasure.ErrInvalid, i)
		}
	}
	t, err := n.target(disk)
	if err != nil {
		return nil, err
	}
	type outcome struct {
		place erasure.Place
		err   error
	}
	done := make(chan outcome, 1)
	t.Append(spec, cells, func(p erasure.Place, err error) { done <- outcome{p, err} })
	select {
	case o := <-done:
		return appendPlace(nil, o.place), shardAnswer(o.err)
	case <-ctx.Done(): // the request is the disk's until it is done; nobody waits for it any more
		return nil, ctx.Err()
	}
}

// serveShardRead reads from a pack for another node, which verifies what it gets.
func (n *Node) serveShardRead(ctx context.Context, _ uint32, request []byte) ([]byte, error) {
	disk, place, length, err := parseRead(request)
	if err != nil {
		return nil, err
	}
	t, err := n.target(disk)
	if err != nil {
		return nil, err
	}
	b := make([]byte, length)
	if err := t.ReadAt(ctx, place.Pack, place.Offset, b); err != nil {
		return nil, shardAnswer(err)
	}
	return b, nil
}

// serveShardStream writes a long shard for another node.
func (n *Node) serveShardStream(_ uint32, head []byte, s *link.Stream) {
	if err := n.writeShard(head, s); err != nil {
		s.Reset(shardAnswer(err))
		return
	}
	if err := s.Close(); err != nil {
		n.opts.Logger.Debug("link: closing the stream of a shard", "err", err)
	}
}

func (n *Node) writeShard(head []byte, s *link.Stream) error {
	disk, spec, rest, err := parseSpec(head)
	if err != nil {
		return err
	}
	if len(rest) > 0 || spec.Cell == 0 || spec.Cell > maxReadBytes {
		return fmt.Errorf("server: a shard of another node: %w", event.ErrMalformed)
	}
	t, err := n.target(disk)
	if err != nil {
		return err
	}
	w, err := t.Stream(spec)
	if err != nil {
		return err
	}
	size, err := copyCells(w, s, spec.Cell)
	if err != nil {
		w.Abort()
		return err
	}
	p, err := w.Commit(size)
	if err != nil {
		return err
	}
	_, err = s.Write(appendPlace(nil, p))
	return err
}

// errShardCut: a stream that ends without its end was given up.
var errShardCut = errors.New("the stream of a shard ended before its end")

// copyCells writes cells until the end of the blob, and returns its size.
func copyCells(w erasure.ShardStream, s *link.Stream, cell uint32) (uint64, error) {
	body := make([]byte, cell)
	var head [cellWireBytes]byte
	for {
		if err := s.SetReadDeadline(time.Now().Add(bodyIdle)); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(s, head[:1]); err != nil {
			return 0, errors.Join(errShardCut, err)
		}
		switch head[0] {
		case streamEnd:
			if _, err := io.ReadFull(s, head[:8]); err != nil {
				return 0, errors.Join(errShardCut, err)
			}
			return binary.BigEndian.Uint64(head[:]), nil
		case streamCell:
		default:
			return 0, fmt.Errorf("server: the stream of a shard: %w", event.ErrMalformed)
		}
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return 0, errors.Join(errShardCut, err)
		}
		c, length := parseCell(head[:])
		if length > cell {
			return 0, fmt.Errorf("server: a cell of %d bytes: %w", length, event.ErrMalformed)
		}
		c.Body = body[:length]
		if _, err := io.ReadFull(s, c.Body); err != nil {
			return 0, errors.Join(errShardCut, err)
		}
		if digest.CRC32C(c.Body) != c.CRC {
			return 0, fmt.Errorf("%w: cell %d changed on its way", erasure.ErrInvalid, c.Stripe)
		}
		if err := w.WriteCell(&c); err != nil {
			return 0, err
		}
	}
}

// bodyIdle is how long the next cell of a stream may take: as long as a client's
// body may stand still, and a little more.
const bodyIdle = 75 * time.Second
