package fsm

import (
	"errors"
	"math"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// errReferences means that the rows contradict themselves: the node stops.
var errReferences = errors.New("the rows of bodies contradict each other")

// errHistory means that a row of history has no key that one could have.
var errHistory = errors.New("a row of history has a key that is none")

// ref adds a reference to a body. It is false if the body is not there.
func (t *tx) ref(b body) bool {
	switch {
	case b.blob != nil:
		return t.refBlob(b.blob)
	case b.assembly != nil:
		return t.refAssembly(b.assembly)
	}
	return true
}

// unref takes a reference away. The last one puts the body into the queue of
// releases, due after the grace.
func (t *tx) unref(b body) {
	switch {
	case b.blob != nil:
		t.unrefBlob(b.blob)
	case b.assembly != nil:
		t.unrefAssembly(b.assembly)
	}
}

func (t *tx) refBlob(id *event.BlobID) bool {
	k := blobKey(tableBlob, id)
	r := get[BlobRow](t, k)
	if r == nil {
		return false
	}
	if r.Due != 0 {
		t.delete(releaseBlobKey(r.Due, id))
		r.Due = 0
	}
	r.Refs++
	t.set(k, r)
	return true
}

func (t *tx) unrefBlob(id *event.BlobID) {
	k := blobKey(tableBlob, id)
	r := get[BlobRow](t, k)
	if r == nil || r.Refs == 0 {
		t.m.fatal(errReferences)
	}
	if r.Refs--; r.Refs == 0 {
		r.Due = t.due()
		t.setRaw(releaseBlobKey(r.Due, id), []byte{})
	}
	t.set(k, r)
}

func (t *tx) refAssembly(v *event.Version) bool {
	k := holdersKey(v)
	h := get[Holders](t, k)
	if h == nil || h.Due != 0 {
		return false // what waits for its release may have been taken apart already
	}
	h.Refs++
	t.set(k, h)
	return true
}

func (t *tx) unrefAssembly(v *event.Version) {
	k := holdersKey(v)
	h := get[Holders](t, k)
	if h == nil || h.Refs == 0 {
		t.m.fatal(errReferences)
	}
	if h.Refs--; h.Refs == 0 {
		h.Due = t.due()
		t.setRaw(releaseAssemblyKey(h.Due, v), []byte{})
	}
	t.set(k, h)
}

// due is the log time from which a body that loses its last reference now may be released.
func (t *tx) due() int64 {
	grace := t.cluster().GetReleaseGrace()
	if sabotage.On(sabotage.X27) {
		grace = 0
	}
	if t.time > math.MaxInt64-grace {
		return math.MaxInt64
	}
	return t.time + grace
}
