package link

// bell wakes everybody who waits for a change. The mutex of what changes guards it.
type bell struct{ ch chan struct{} }

// wait returns a channel that is closed by the next ring.
func (b *bell) wait() <-chan struct{} {
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
