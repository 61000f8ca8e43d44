package s3api

import (
	"context"

	"ironman/fsm"
	"ironman/wal/event"
)

// copyPart settles what bytes a part has that is copied, and what is known of them.
func (s *Server) copyPart(ctx context.Context, r *Request, u *fsm.Upload, src *copySource, to *sealing, part *event.PartPut) error {
	rng, err := r.copyRange(int64(src.object.Size))
	if err != nil {
		return err
	}
	segments, _, err := r.view.Body(src.object)
	if err != nil {
		return err
	}
	part.Size = uint64(rng.length)
	copied, err := copiedSegments(segments, rng)
	if err != nil {
		return err
	}
	keys, shared, err := src.from.shareSegments(to, copied)
	if err != nil {
		return err
	}
	if !shared {
		return s.recodePart(ctx, r, u, segments, rng, src.from, to, part)
	}
	part.Source, part.Segments, part.Encryption = src.pin(), copied, partEncryption(to.encryption(keys...))
	if u.ChecksumAlgorithm == noChecksum {
		part.Etag, part.Checksum = copiedTag(src.object, rng), copiedChecksum(src.object, rng)
		return nil
	}
	read, err := s.digestRange(ctx, r, segments, rng, src.from, u.ChecksumAlgorithm)
	if err != nil {
		return err
	}
	part.Etag, part.Checksum = to.etag(read.etag), read.checksum
	return nil
}

// recodePart stores a range of another object anew as the bytes of a part.
func (s *Server) recodePart(ctx context.Context, r *Request, u *fsm.Upload, segments []*event.Segment, rng byteRange, from *opening, to *sealing, part *event.PartPut) error {
	algorithm := u.ChecksumAlgorithm
	if algorithm == noChecksum {
		algorithm = ownChecksum
	}
	blobs, encryption, read, err := s.recode(ctx, r, segments, rng, from, to, algorithm)
	if err != nil {
		return err
	}
	part.Blobs, part.Encryption = blobs, partEncryption(encryption)
	part.Etag, part.Checksum = to.etag(read.etag), read.checksum
	return nil
}
