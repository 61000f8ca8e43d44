package checksum

import (
	"hash"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// Want says what to compute besides MD5 and the size.
type Want struct {
	// Algorithm is the checksum to compute, or NONE.
	Algorithm event.ChecksumAlgorithm
	// Also is a second one, or NONE.
	Also event.ChecksumAlgorithm
	// SHA256 asks for the SHA-256 of the bytes, whatever Algorithm is.
	SHA256 bool
	// Payload is the SHA-256 that the source of the bytes itself guarantees (a signed
	// payload hash): where a SHA-256 is wanted it is taken and not computed again. Nil:
	// the source guarantees none.
	Payload *digest.Sum
	// Size is the number of bytes to come, if it is known: a hint. 0 or less: not known.
	Size int64
}

// Sums is what was computed of a body.
type Sums struct {
	Size   int64 // bytes
	MD5    [16]byte
	SHA256 digest.Sum // zero unless it was wanted
	// Checksum is of the wanted algorithm, Also of the second one; nil: none was.
	Checksum, Also *event.Checksum
}

// parallelMin is the least number of bytes worth a goroutine: below it MD5 takes less
// than about 0.1 ms.
const parallelMin = 64 << 10

// Digests are the running digests of one body. For one goroutine at a time.
type Digests struct {
	want Want
	md5  hash.Hash
	// sum, also and sha are computed where the bytes pass by; nil: not wanted, or known.
	sum, also, sha hash.Hash
	size           int64
	// last is the hashing that was begun last; md5 belongs to it until it is done.
	last Ticket
}

// New returns digests of nothing yet.
func New(w Want) *Digests {
	d := &Digests{want: w, md5: digest.NewMD5()}
	if w.Payload == nil || w.Algorithm != sha256 {
		d.sum = newHash(w.Algorithm)
	}
	if w.Also != w.Algorithm {
		d.also = newHash(w.Also)
	}
	if w.SHA256 && w.Payload == nil && w.Algorithm != sha256 {
		d.sha = digest.NewSHA256()
	}
	return d
}

// Ticket tells when bytes that are being hashed may change. The zero Ticket: now.
type Ticket struct{ done chan struct{} }

// Wait returns when the bytes are hashed.
func (t Ticket) Wait() {
	if t.done != nil {
		<-t.done
	}
}

func (t Ticket) isDone() bool {
	if t.done == nil {
		return true
	}
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// Begin hashes p after what came before it. A long p is still being hashed when Begin
// returns: it may be read, but not changed, until the Ticket's Wait returned.
func (d *Digests) Begin(p []byte) Ticket {
	t := d.beginMD5(p)
	d.pass(p)
	return t
}

// Write is Begin and Wait: MD5 runs beside the other lanes. It never fails.
func (d *Digests) Write(p []byte) (int, error) {
	d.Begin(p).Wait()
	return len(p), nil
}

// pass feeds all lanes but MD5.
func (d *Digests) pass(p []byte) {
	d.size += int64(len(p))
	if d.sum != nil {
		d.sum.Write(p)
	}
	if d.also != nil {
		d.also.Write(p)
	}
	if d.sha != nil {
		d.sha.Write(p)
	}
}

// beginMD5 feeds MD5: in a goroutine of its own if p is long or must queue.
func (d *Digests) beginMD5(p []byte) Ticket {
	before := d.last
	if len(p) < parallelMin && before.isDone() {
		d.md5.Write(p)
		d.last = Ticket{}
		return d.last
	}
	t := Ticket{done: make(chan struct{})}
	d.last = t
	go func() {
		before.Wait()
		d.md5.Write(p)
		close(t.done)
	}()
	return t
}

// Sums waits for what was begun and returns the digests of everything so far.
func (d *Digests) Sums() Sums {
	d.last.Wait()
	s := Sums{Size: d.size}
	d.md5.Sum(s.MD5[:0])
	if d.want.Algorithm != none {
		s.Checksum = &event.Checksum{Algorithm: d.want.Algorithm}
		if d.sum != nil {
			s.Checksum.Value = d.sum.Sum(nil)
		} else {
			s.Checksum.Value = append([]byte(nil), d.want.Payload[:]...)
		}
	}
	switch {
	case d.also != nil:
		s.Also = &event.Checksum{Algorithm: d.want.Also, Value: d.also.Sum(nil)}
	case d.want.Also != none:
		s.Also = s.Checksum
	}
	switch {
	case !d.want.SHA256:
	case d.want.Payload != nil:
		s.SHA256 = *d.want.Payload
	case d.sha != nil:
		d.sha.Sum(s.SHA256[:0])
	default: // Algorithm is SHA-256
		copy(s.SHA256[:], s.Checksum.Value)
	}
	return s
}
