package link

// inbox holds what a stream has received and nobody has read yet. The stream's
// mutex guards it; only the session's reader fills it.
type inbox struct {
	pool   *chunkPool
	chunks []*chunk
	read   int // bytes of chunks[0] that were read
	size   int // bytes that were not
	// filling: the session's reader writes into the last chunk without holding the
	// mutex, so that chunk must be neither moved nor given back.
	filling bool
}

// space returns where the next bytes go and marks it as being filled. done must follow.
func (in *inbox) space() []byte {
	n := len(in.chunks)
	if n == 0 || in.chunks[n-1].n == chunkBytes {
		in.chunks = append(in.chunks, in.pool.get())
		n++
	}
	in.filling = true
	c := in.chunks[n-1]
	return c.b[c.n:]
}

// done says that n bytes of the space were filled.
func (in *inbox) done(n int) {
	in.filling = false
	if len(in.chunks) > 0 { // not dropped meanwhile
		in.chunks[len(in.chunks)-1].n += n
		in.size += n
	}
}

// take moves bytes to p.
func (in *inbox) take(p []byte) (n int) {
	for n < len(p) && in.size > 0 {
		c := in.chunks[0]
		k := copy(p[n:], c.b[in.read:c.n])
		n += k
		in.read += k
		in.size -= k
		if in.read == c.n && (len(in.chunks) > 1 || !in.filling) {
			in.pool.put(c)
			in.chunks = append(in.chunks[:0], in.chunks[1:]...)
			in.read = 0
		}
	}
	return n
}

// drop forgets everything. A chunk that is being filled is left to the collector.
func (in *inbox) drop() {
	for i, c := range in.chunks {
		if i < len(in.chunks)-1 || !in.filling {
			in.pool.put(c)
		}
	}
	in.chunks, in.read, in.size = nil, 0, 0
}
