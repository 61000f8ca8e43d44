package fsm

import (
	"errors"
	"slices"
	"testing"

	"ironman/wal/event"
)

// sealedBy is an encryption of a kind with a key for each blob.
func sealedBy(kind event.EncryptionKind, blobs ...*event.Blob) *event.Encryption {
	e := &event.Encryption{Kind: kind}
	for _, b := range blobs {
		e.Keys = append(e.Keys, &event.WrappedKey{Blob: b.Id, Wrapped: []byte{byte(b.Id.Counter)}, Nonce: []byte{1}})
	}
	return e
}

const (
	byS3       = event.EncryptionKind_ENCRYPTION_KIND_S3
	byCustomer = event.EncryptionKind_ENCRYPTION_KIND_CUSTOMER
)

func keyDraft(r *rig, name string, body *event.Statement) *event.Draft {
	d := event.NewDraft(r.header(), nil)
	d.Statement.Body = body.Body
	return d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, name)
}

// sealedPut puts an object of plain bytes in one sealed blob.
func (r *rig) sealedPut(bucket uint64, name string, plain uint64, e func(*event.Blob) *event.Encryption) *event.Draft {
	b := r.blob(event.SealedSize(plain))
	return keyDraft(r, name, &event.Statement{Body: &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
		Bucket: bucket, Size: plain, Owner: alice, Acl: private(alice), Blobs: []*event.Blob{b}, Encryption: e(b),
	}}})
}

func (r *rig) wants(what string, want event.Refusal, d *event.Draft) {
	r.t.Helper()
	if got := r.propose(d).Outcome.Refusal; got != want {
		r.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// sealedGenesis is genesis at the level that knows sealed bytes.
func (r *rig) sealedGenesis() uint64 {
	r.t.Helper()
	bucket := r.genesisOf(0, sealedLevel)
	r.accept(event.NewDraft(r.header(), &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: sealedLevel}}))
	return bucket
}

// TestSealedSizes: an object's size is plain, its blob's is not, and each blob has a key.
func TestSealedSizes(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.sealedGenesis()
	whole := func(b *event.Blob) *event.Encryption { return sealedBy(byS3, b) }
	r.wants("a sealed object", 0, r.sealedPut(bucket, "a", 100_000, whole))
	r.wants("without a key", event.Refusal_REFUSAL_INVALID, r.sealedPut(bucket, "b", 100, func(*event.Blob) *event.Encryption { return sealedBy(byS3) }))
	r.wants("with the key of another blob", event.Refusal_REFUSAL_INVALID, r.sealedPut(bucket, "b", 100, func(*event.Blob) *event.Encryption { return sealedBy(byS3, r.blob(1)) }))
	r.wants("of a sealed size that is said to be plain", event.Refusal_REFUSAL_INVALID, r.sealedPut(bucket, "b", 100, func(*event.Blob) *event.Encryption { return nil }))
	v := r.view()
	defer v.Close()
	o, err := v.Object(bucket, "a")
	if err != nil || o == nil || o.Size != 100_000 {
		t.Fatalf("%v, %v", o, err)
	}
	segments, _, err := v.Body(o)
	if err != nil || total(segments) != 100_000 {
		t.Errorf("%v, %v", segments, err)
	}
	if keys, err := v.Keys(o); err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
	if u, err := v.Usage(bucket); err != nil || u.Bytes != 100_000 {
		t.Errorf("%v, %v", u, err)
	}
}

// TestSealedUpload: the keys of the parts become those of the assembly, each once; a
// copy by reference shares them unless it brings its own.
func TestSealedUpload(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.sealedGenesis()
	r.accept(r.sealedPut(bucket, "source", 200_000, func(b *event.Blob) *event.Encryption { return sealedBy(byCustomer, b) }))
	v := r.view()
	source, err := v.Object(bucket, "source")
	v.Close()
	if err != nil {
		t.Fatal(err)
	}
	upload := r.accept(keyDraft(r, "made", &event.Statement{Body: &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
		Bucket: bucket, Owner: alice, Acl: private(alice), Encryption: &event.Encryption{Kind: byCustomer, CustomerKeyCheck: []byte("check")},
	}}})).Version
	part := func(n uint32, size uint64, change func(*event.PartPut)) *event.Draft {
		p := &event.PartPut{Bucket: bucket, Upload: upload, Number: n, Size: size, Etag: "e"}
		change(p)
		return keyDraft(r, "made", &event.Statement{Body: &event.Statement_PartPut{PartPut: p}}).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, "source")
	}
	bytes := func(kind event.EncryptionKind) func(*event.PartPut) {
		return func(p *event.PartPut) {
			b := r.blob(event.SealedSize(p.Size))
			p.Blobs, p.Encryption = []*event.Blob{b}, sealedBy(kind, b)
		}
	}
	rangeOf := func(offset, length uint64) func(*event.PartPut) {
		return func(p *event.PartPut) {
			p.Source = &event.CopySource{Bucket: bucket, Version: source.Version, NullVersion: true}
			p.Segments = []*event.Segment{{Blob: source.Blob, Offset: offset, Length: length}}
			p.Encryption = &event.Encryption{Kind: byCustomer, Keys: []*event.WrappedKey{{Blob: source.Blob, Wrapped: []byte("again")}}}
		}
	}
	r.wants("a part of another kind", event.Refusal_REFUSAL_INVALID, part(1, 70_000, bytes(byS3)))
	r.wants("a plain part", event.Refusal_REFUSAL_INVALID, part(1, 70_000, func(p *event.PartPut) { p.Blobs = []*event.Blob{r.blob(p.Size)} }))
	r.wants("beyond the source's plain bytes", event.Refusal_REFUSAL_SOURCE_CHANGED, part(1, 2, rangeOf(199_999, 2)))
	first := r.sequence(part(1, 70_000, bytes(byCustomer)))
	second := r.sequence(part(2, 100_000, rangeOf(100_000, 100_000)))
	third := r.sequence(part(3, 5, rangeOf(1, 5)))
	r.accept(keyDraft(r, "made", &event.Statement{Body: &event.Statement_UploadCompleted{UploadCompleted: &event.UploadCompleted{
		Bucket: bucket, Upload: upload, Size: 170_005, Parts: []*event.CompletedPart{{Number: 1, Seq: first}, {Number: 2, Seq: second}, {Number: 3, Seq: third}},
	}}}))
	v = r.view()
	made, err := v.Object(bucket, "made")
	v.Close()
	if err != nil || string(made.GetEncryption().GetCustomerKeyCheck()) != "check" || len(made.Encryption.Keys) != 0 {
		t.Fatalf("%v, %v", made, err)
	}
	copied := func(name string, e *event.Encryption) *event.Draft {
		return keyDraft(r, name, &event.Statement{Body: &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
			Bucket: bucket, Size: 170_005, Owner: alice, Acl: private(alice), Encryption: e,
			Source: &event.CopySource{Bucket: bucket, Version: made.Version, NullVersion: true},
		}}}).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, "made")
	}
	own := sealedBy(byCustomer)
	own.Keys = []*event.WrappedKey{{Blob: source.Blob, Wrapped: []byte("own")}}
	r.wants("a copy as it is", 0, copied("shared", &event.Encryption{Kind: byCustomer}))
	r.wants("a copy with keys of its own", 0, copied("rewrapped", own))
	r.wants("a copy of another kind", event.Refusal_REFUSAL_INVALID, copied("other", sealedBy(byS3)))
	r.wants("a plain copy", event.Refusal_REFUSAL_INVALID, copied("other", nil))
	v = r.view()
	defer v.Close()
	for name, want := range map[string]string{"made": "\x03again", "shared": "\x03again", "rewrapped": "own"} {
		o, err := v.Object(bucket, name)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := v.Keys(o)
		got := ""
		for _, k := range keys {
			got += string(k.Wrapped)
		}
		if err != nil || got[len(got)-len(want)+1:] != want[1:] || len(keys) > 2 {
			t.Errorf("%s: keys %q, %v", name, got, err)
		}
	}
}

// sequence applies an event that must be accepted, and gives its sequence.
func (r *rig) sequence(d *event.Draft) uint64 {
	r.t.Helper()
	result := r.propose(d)
	if result.Outcome.Refusal != 0 {
		r.t.Fatalf("refused: %s", result.Outcome.Refusal)
	}
	return result.Seq
}

// TestAppendedKeys: an object that grows keeps its keys with its segments, where listings
// do not read them.
func TestAppendedKeys(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.sealedGenesis()
	r.level = sealedLevel
	r.wants("a sealed object", 0, r.sealedPut(bucket, "a", 100, func(b *event.Blob) *event.Encryption { return sealedBy(byS3, b) }))
	at := func() *Object {
		v := r.view()
		defer v.Close()
		o, err := v.Object(bucket, "a")
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	appends := func(plain uint64) *event.Draft {
		old, e := at(), &event.Encryption{Kind: byS3}
		var blobs []*event.Blob
		if plain > 0 {
			blobs = append(blobs, r.blob(event.SealedSize(plain)))
			e = sealedBy(byS3, blobs...)
		}
		return keyDraft(r, "a", &event.Statement{Body: &event.Statement_ObjectAppended{ObjectAppended: &event.ObjectAppended{
			Bucket: bucket, Version: old.Version, Offset: old.Size, Size: old.Size + plain, Blobs: blobs, Encryption: e,
		}}})
	}
	for _, plain := range []uint64{100, 100, 0, 100} {
		r.wants("an append", 0, appends(plain))
	}
	o := at()
	if n := len(o.Encryption.GetKeys()); n != 0 || !o.Encryption.Sealed() {
		t.Errorf("the row holds %d keys", n)
	}
	v := r.view()
	defer v.Close()
	if keys, err := v.Keys(o); err != nil || len(keys) != 4 {
		t.Errorf("%d keys of 4 blobs, %v", len(keys), err)
	}
}

// TestWrappedKeys finds every key that a row has: of an object, of a version that is gone from
// now, of a part, and of a body of many.
func TestWrappedKeys(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesisOf(3600e9, sealedLevel)
	r.accept(event.NewDraft(r.header(), &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: sealedLevel}}))
	named := func(name string) func(*event.Blob) *event.Encryption {
		return func(b *event.Blob) *event.Encryption {
			return &event.Encryption{Kind: byS3, Keys: []*event.WrappedKey{{Blob: b.Id, Wrapped: []byte(name)}}}
		}
	}
	r.accept(r.sealedPut(bucket, "a", 10, named("past")))
	r.accept(r.sealedPut(bucket, "a", 10, named("object")))
	part := func(name string) (*event.Version, uint64) {
		upload := r.accept(keyDraft(r, name, &event.Statement{Body: &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
			Bucket: bucket, Owner: alice, Acl: private(alice), Encryption: &event.Encryption{Kind: byS3},
		}}})).Version
		b := r.blob(event.SealedSize(7))
		return upload, r.sequence(keyDraft(r, name, &event.Statement{Body: &event.Statement_PartPut{PartPut: &event.PartPut{
			Bucket: bucket, Upload: upload, Number: 1, Size: 7, Etag: "e", Blobs: []*event.Blob{b}, Encryption: named(name)(b),
		}}}))
	}
	part("part")
	upload, seq := part("body")
	r.accept(keyDraft(r, "body", &event.Statement{Body: &event.Statement_UploadCompleted{UploadCompleted: &event.UploadCompleted{
		Bucket: bucket, Upload: upload, Size: 7, Parts: []*event.CompletedPart{{Number: 1, Seq: seq}},
	}}}))
	v := r.view()
	defer v.Close()
	var found []string
	if err := v.WrappedKeys(func(w *event.WrappedKey) error { found = append(found, string(w.Wrapped)); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if want := []string{"body", "object", "part", "past"}; !slices.Equal(found, want) {
		t.Errorf("%q instead of %q", found, want)
	}
	stop := errors.New("stop")
	if err := v.WrappedKeys(func(*event.WrappedKey) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}
