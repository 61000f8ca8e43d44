package fsm

import "ironman/wal/event"

// sealedLevel is the feature level from which apply knows sealed bytes. Below it an
// encryption was kept as it came, and no node asked for one.
const sealedLevel = 3

func (t *tx) knowsSealed() bool { return t.cluster().GetFeatureLevel() >= sealedLevel }

// sealing is how bytes are sealed, as far as sizes and keys go; nil: they are plain.
func (t *tx) sealing(e *event.Encryption) *event.Encryption {
	if !t.knowsSealed() {
		return nil
	}
	return e
}

// hasKeys tells whether an encryption has the data key of every segment's blob. What
// these are cannot be seen here: they are sealed under keys that are not in the log.
func hasKeys(e *event.Encryption, segments []*event.Segment) bool {
	if !e.Sealed() {
		return true
	}
	known := make(map[[16]byte]bool, len(e.Keys))
	for _, k := range e.Keys {
		known[k.Blob.Key()] = true
	}
	for _, s := range segments {
		if !known[s.Blob.Key()] {
			return false
		}
	}
	return true
}

// copiedKeys settles the keys of an object that has the body of another one. They stay
// as they are unless the event brings them wrapped for another; between plain and
// sealed, and between kinds, no body can be shared.
func (t *tx) copiedKeys(o, src *Object) event.Refusal {
	if !t.knowsSealed() {
		return event.Refusal_REFUSAL_NONE
	}
	if o.Encryption.GetKind() != src.Encryption.GetKind() {
		return event.Refusal_REFUSAL_INVALID
	}
	if o.Encryption.Sealed() && len(o.Encryption.Keys) == 0 {
		o.Encryption.Keys = src.Encryption.Keys
	}
	return event.Refusal_REFUSAL_NONE
}

// keys are the wrapped data keys of an object: its own, else those of its assembly.
func (t *tx) keys(o *Object) []*event.WrappedKey {
	if len(o.Encryption.GetKeys()) > 0 || o.Assembly == nil {
		return o.Encryption.GetKeys()
	}
	return get[Assembly](t, assemblyKey(o.Assembly)).GetKeys()
}

// withKeys is an encryption with other keys.
func withKeys(e *event.Encryption, keys []*event.WrappedKey) *event.Encryption {
	return &event.Encryption{
		Kind: e.Kind, KeyId: e.KeyId, CustomerKeyCheck: e.CustomerKeyCheck, Context: e.Context, BucketKey: e.BucketKey, Keys: keys,
	}
}

// addKeys takes a part's data keys over. A blob that is in several parts has its key
// once: any of them opens under what the upload's keys are wrapped with.
func (c *completed) addKeys(e *event.Encryption) {
	if !c.sealed {
		c.keys = append(c.keys, e.GetKeys()...)
		return
	}
	if !e.Sealed() {
		return
	}
	if c.known == nil {
		c.known = make(map[[16]byte]bool)
	}
	for _, k := range e.Keys {
		if id := k.Blob.Key(); !c.known[id] {
			c.known[id] = true
			c.keys = append(c.keys, k)
		}
	}
}

// Keys returns the wrapped data keys of an object's blobs; none if it is not sealed.
func (v *View) Keys(o *Object) ([]*event.WrappedKey, error) {
	switch {
	case !o.Encryption.Sealed():
		return nil, nil
	case len(o.Encryption.Keys) > 0 || o.Assembly == nil:
		return o.Encryption.Keys, nil
	}
	a, err := read[Assembly](v, assemblyKey(o.Assembly))
	return a.GetKeys(), err
}
