package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"ironman/erasure"
	"ironman/server/link"
)

// remoteDisk is a disk of another node, behind the link.
type remoteDisk struct {
	link   *link.Link
	node   uint32
	number uint32
	id     [16]byte
}

var _ erasure.ShardTarget = (*remoteDisk)(nil)

// Time limits of one shard on another node's disk. The store gives a disk longer
// than this before it drops it, so that what the other node says is heard.
const (
	shardAppendLimit = 15 * time.Second
	shardReadLimit   = 15 * time.Second
)

// DiskID implements erasure.ShardTarget.
func (d *remoteDisk) DiskID() [16]byte { return d.id }

// Append implements erasure.ShardTarget.
func (d *remoteDisk) Append(spec erasure.ShardSpec, cells []erasure.Cell, done func(erasure.Place, error)) {
	request := make([][]byte, 1, 1+len(cells))
	request[0] = appendHead(d.number, &spec, cells)
	for i := range cells {
		request = append(request, cells[i].Body)
	}
	go func() { // ends with the call, which has a limit
		ctx, cancel := context.WithTimeout(context.Background(), shardAppendLimit)
		defer cancel()
		b, err := d.link.Call(ctx, d.node, methodShardAppend, request...)
		var p erasure.Place
		if err == nil {
			p, err = parsePlace(b)
		}
		done(p, shardError(err))
	}()
}

// ReadAt implements erasure.ShardTarget.
func (d *remoteDisk) ReadAt(ctx context.Context, pack erasure.PackKey, offset uint64, p []byte) error {
	ctx, cancel := context.WithTimeout(ctx, shardReadLimit)
	defer cancel()
	b, err := d.link.Call(ctx, d.node, methodShardRead, appendRead(d.number, erasure.Place{Pack: pack, Offset: offset}, len(p)))
	if err != nil {
		return shardError(err)
	}
	if len(b) != len(p) {
		return fmt.Errorf("%w: node %d answered %d bytes of %d", erasure.ErrUnavailable, d.node, len(b), len(p))
	}
	copy(p, b)
	return nil
}

// Stream implements erasure.ShardTarget.
func (d *remoteDisk) Stream(spec erasure.ShardSpec) (erasure.ShardStream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), shardAppendLimit)
	defer cancel()
	s, err := d.link.OpenStream(ctx, d.node, methodShardStream, appendSpec(nil, d.number, &spec))
	if err != nil {
		return nil, shardError(err)
	}
	return &remoteStream{stream: s}, nil
}

// remoteStream writes one long shard to another node.
type remoteStream struct {
	stream *link.Stream
	head   [1 + cellWireBytes]byte
}

// WriteCell implements erasure.ShardStream.
func (s *remoteStream) WriteCell(c *erasure.Cell) error {
	if err := s.stream.SetWriteDeadline(time.Now().Add(shardAppendLimit)); err != nil {
		return shardError(err)
	}
	b := appendCell(append(s.head[:0], streamCell), c)
	if _, err := s.stream.Write(b); err != nil {
		return shardError(err)
	}
	_, err := s.stream.Write(c.Body)
	return shardError(err)
}

// Commit implements erasure.ShardStream.
func (s *remoteStream) Commit(size uint64) (erasure.Place, error) {
	p, err := s.commit(size)
	if err != nil {
		s.stream.Reset(err)
		return erasure.Place{}, shardError(err)
	}
	return p, s.stream.Close()
}

func (s *remoteStream) commit(size uint64) (erasure.Place, error) {
	if err := s.stream.SetDeadline(time.Now().Add(shardAppendLimit)); err != nil {
		return erasure.Place{}, err
	}
	if _, err := s.stream.Write(binary.BigEndian.AppendUint64([]byte{streamEnd}, size)); err != nil {
		return erasure.Place{}, err
	}
	var b [placeWireBytes]byte
	if _, err := io.ReadFull(s.stream, b[:]); err != nil {
		return erasure.Place{}, err
	}
	return parsePlace(b[:])
}

// Abort implements erasure.ShardStream.
func (s *remoteStream) Abort() { s.stream.Reset(errAborted) }

var errAborted = errors.New("the writer gave up")

// Codes of what a node says of its disks. Stable: new ones are added at the end.
const (
	codeShardNotThere = link.FirstCode + iota
	codeShardReleased
	codeNoSpace
	codeDiskFailed
	codeDiskStalled
	codeShardInvalid
	codeNotServing // the node is starting or stopping
	codeLogNotDone
	codeLogOverloaded
)

// shardCodes pairs the errors of a disk with their codes.
func shardCodes() []struct {
	code link.Code
	err  error
} {
	return []struct {
		code link.Code
		err  error
	}{
		{codeShardReleased, erasure.ErrReleased}, {codeShardNotThere, fs.ErrNotExist}, {codeNoSpace, erasure.ErrNoSpace},
		{codeDiskFailed, erasure.ErrDiskFailed}, {codeDiskStalled, erasure.ErrStalled}, {codeShardInvalid, erasure.ErrInvalid},
	}
}

// shardAnswer gives the error of a disk its code for another node.
func shardAnswer(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range shardCodes() {
		if errors.Is(err, c.err) {
			return &link.Error{Code: c.code, Text: err.Error()}
		}
	}
	return err
}

// shardError is the inverse of shardAnswer. Where the link failed, nothing is known
// of the disk: it is out of reach.
func shardError(err error) error {
	if err == nil {
		return nil
	}
	var said *link.Error
	if errors.As(err, &said) {
		if said.Code == codeNotServing {
			err = fmt.Errorf("%w: %w", erasure.ErrNotServing, err)
		}
		for _, c := range shardCodes() {
			if c.code == said.Code {
				return fmt.Errorf("%w: %w", c.err, err)
			}
		}
	}
	return fmt.Errorf("%w: %w", erasure.ErrUnavailable, err)
}
