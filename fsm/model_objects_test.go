package fsm

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

func (m *model) createBucket(p *event.Parsed, b *event.BucketCreated, name string) *event.Outcome {
	if name == "" || !text(name) || b.Owner == "" || b.Acl == nil {
		return refuse(invalid)
	}
	if n, ok := m.names[name]; ok {
		if n.row.Owner == b.Owner {
			return refuse(event.Refusal_REFUSAL_BUCKET_OWNED)
		}
		return refuse(event.Refusal_REFUSAL_BUCKET_EXISTS)
	}
	row := &Bucket{Bucket: m.seq, Name: name, Owner: b.Owner, Region: b.Region, Time: m.now, Acl: b.Acl, ObjectLock: b.ObjectLock}
	documents, ok := m.brought(p)
	if !ok {
		return refuse(invalid)
	}
	for kind, text := range documents {
		row.Documents |= 1 << kind
		m.documents[documentPlace{m.seq, kind}] = dated[*Document]{m.seq, &Document{Text: text, Time: m.now}}
	}
	m.names[name] = dated[*BucketName]{m.seq, &BucketName{Bucket: m.seq, Owner: b.Owner, Time: m.now}}
	if b.ObjectLock && m.level3() {
		row.Versioning = enabled
	}
	m.buckets[m.seq] = dated[*Bucket]{m.seq, row}
	return &event.Outcome{Allocated: m.seq}
}

func (m *model) deleteBucket(id uint64) *event.Outcome {
	b, ok := m.buckets[id]
	if !ok {
		return refuse(noBucket)
	}
	markers := 0
	for at := range m.versions {
		if at.bucket == id {
			markers++
		}
	}
	if u := m.usage(id); u.Objects+u.Uploads > 0 || markers > 0 {
		return refuse(event.Refusal_REFUSAL_BUCKET_NOT_EMPTY)
	}
	maps.DeleteFunc(m.cursors, func(at cursorPlace, _ *Cursor) bool { return at.bucket == id })
	m.archive(keyText(tableBucketName, b.row.Name), m.names[b.row.Name].from, m.names[b.row.Name].row)
	m.archive(key(tableBucket, id), b.from, b.row)
	delete(m.names, b.row.Name)
	delete(m.buckets, id)
	for at, d := range m.documents {
		if at.bucket == id {
			m.archive(documentKey(id, at.kind), d.from, d.row)
			delete(m.documents, at)
		}
	}
	if r := m.retentions[id]; r.owned() && r.History == 0 {
		r = proto.Clone(r).(*Retention)
		r.Trimmed = m.seq + 1
		m.retentions[id] = r
	}
	return nil
}

func (m *model) bucketACL(b *event.BucketACLSet) *event.Outcome {
	return m.changeBucket(b.Bucket, func(row *Bucket) event.Refusal {
		if b.Acl == nil || b.Acl.Owner != row.Owner {
			return invalid
		}
		row.Acl = b.Acl
		return none
	})
}

func (m *model) document(p *event.Parsed, b *event.BucketDocumentSet) *event.Outcome {
	if b.Kind == 0 {
		return refuse(invalid)
	}
	bucket, ok := m.buckets[b.Bucket]
	if !ok {
		return refuse(noBucket)
	}
	text, there := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	if p.Statement.Header.FeatureLevel >= 3 && (bucket.row.Documents>>b.Kind&1 == 1) != there {
		m.archive(key(tableBucket, b.Bucket), bucket.from, bucket.row)
		row := proto.Clone(bucket.row).(*Bucket)
		row.Documents ^= 1 << b.Kind
		m.buckets[b.Bucket] = dated[*Bucket]{m.seq, row}
	}
	at := documentPlace{b.Bucket, b.Kind}
	if old, ok := m.documents[at]; ok {
		m.archive(documentKey(at.bucket, at.kind), old.from, old.row)
		delete(m.documents, at)
	}
	if there {
		m.documents[at] = dated[*Document]{m.seq, &Document{
			Text: text, Time: m.now, Confirmed: b.Confirmed,
		}}
	}
	return nil
}

// brought are the documents that a new bucket comes with.
func (m *model) brought(p *event.Parsed) (map[event.DocumentKind][]byte, bool) {
	documents := map[event.DocumentKind][]byte{}
	for _, it := range p.Items {
		if p.Statement.Header.FeatureLevel < 3 || it.Kind != event.ItemKind_ITEM_KIND_DOCUMENT {
			continue
		}
		if it.Ordinal == 0 || it.Ordinal > uint32(event.DocumentKind_DOCUMENT_KIND_REPLICATION) {
			return nil, false
		}
		documents[event.DocumentKind(it.Ordinal)] = it.Value
	}
	return documents, true
}

// adopt takes in new blobs.
func (m *model) adopt(blobs []*event.Blob) event.Refusal {
	for _, b := range blobs {
		if r := m.coded(b); r != none {
			return r
		}
		_, live := m.incarnations[b.Id.Incarnation]
		_, known := m.blobs[b.Id.Key()]
		if !live || known || m.abandoned[b.Id.Key()] {
			return fenced
		}
		for _, s := range b.Shards {
			if s.Disk != 0 {
				if r := m.open(s); r != none {
					return r
				}
			}
		}
		m.blobs[b.Id.Key()] = modelBlob{blob: b}
	}
	return none
}

// coded tells whether a blob may be as it says.
func (m *model) coded(b *event.Blob) event.Refusal {
	if b.Id == nil || b.K == 0 || b.Cell == 0 || b.Size == 0 || b.Size > 1<<43 || int(b.K)+int(b.M) != len(b.Shards) || len(b.Shards) > 256 {
		return invalid
	}
	missing := 0
	for _, s := range b.Shards {
		if s.Disk == 0 {
			missing++
		}
	}
	if missing+int(b.Tolerance) > int(b.M) {
		return event.Refusal_REFUSAL_PLACEMENT
	}
	return none
}

// within tells whether segments lie inside blobs that are there, and hold each of news.
func (m *model) within(sealed bool, segments []*event.Segment, news []*event.Blob) event.Refusal {
	for _, s := range segments {
		b, ok := m.blobs[s.Blob.Key()]
		if !ok || s.Length == 0 || s.Offset+s.Length < s.Offset || s.Offset+s.Length > plainBytes(sealed, b.blob.Size) {
			return changed
		}
	}
	for _, b := range news {
		if !slices.ContainsFunc(segments, func(s *event.Segment) bool { return s.Blob.Key() == b.Id.Key() }) {
			return invalid
		}
	}
	return none
}

// plainBytes is how much a blob of a size holds.
func plainBytes(sealed bool, size uint64) uint64 {
	if !sealed {
		return size
	}
	tags := (size + 65551) / 65552 // one for each chunk of 65,536 plain bytes
	if n := size - 16*tags; n <= size && n > 0 && (n+65535)/65536 == tags {
		return n
	}
	return 0
}

func (m *model) isSealed(e *event.Encryption) bool {
	return e != nil && e.Kind != 0 && m.cluster.GetFeatureLevel() > 2
}

// differ tells whether bytes are sealed in different ways.
func (m *model) differ(a, b *event.Encryption) bool {
	return m.cluster.GetFeatureLevel() > 2 && a.GetKind() != b.GetKind()
}

// keyed tells whether every segment has a key.
func (m *model) keyed(e *event.Encryption, segments []*event.Segment) bool {
	for _, s := range segments {
		if m.isSealed(e) && !slices.ContainsFunc(e.Keys, func(k *event.WrappedKey) bool { return k.Blob.Key() == s.Blob.Key() }) {
			return false
		}
	}
	return true
}

func (m *model) whole(e *event.Encryption, blobs []*event.Blob) (segments []*event.Segment) {
	for _, b := range blobs {
		segments = append(segments, &event.Segment{Blob: b.Id, Length: plainBytes(m.isSealed(e), b.Size)})
	}
	return segments
}

// pinned is the object a copy reads, if it is still that.
func (m *model) pinned(p *event.Parsed, i int, s *event.CopySource) *Object {
	o := m.find(objectPlace{s.Bucket, p.Text(event.ItemKind_ITEM_KIND_SOURCE_KEY, i)}, s.Version)
	if o.GetDeleteMarker() {
		return nil
	}
	return o
}

// beside reads the headers and tags of operation i; false if they are malformed.
func beside(p *event.Parsed, i int) (h *event.Headers, g *event.Tags, ok bool) {
	ok = true
	read := func(kind event.ItemKind, x proto.Message) bool {
		b, there := p.Item(kind, i)
		if there && errors.Is(event.Decode(b, x), event.ErrMalformed) {
			ok = false
		}
		return there
	}
	h, g = &event.Headers{}, &event.Tags{}
	if !read(event.ItemKind_ITEM_KIND_HEADERS, h) {
		h = nil
	}
	if !read(event.ItemKind_ITEM_KIND_TAGS, g) {
		g = nil
	}
	return h, g, ok
}

func (m *model) put(p *event.Parsed, b *event.ObjectPut, at objectPlace) *event.Outcome {
	return m.putOne(p, 0, b, at, func() *Object { return m.pinned(p, 0, b.Source) })
}

func (m *model) putOne(p *event.Parsed, i int, b *event.ObjectPut, at objectPlace, source func() *Object) *event.Outcome {
	if at.name == "" || len(at.name) > 1024 || b.Acl == nil || b.Owner == "" {
		return refuse(invalid)
	}
	if _, ok := m.buckets[at.bucket]; !ok {
		return refuse(noBucket)
	}
	if r := m.judgeCondition(b.Condition, m.objects[at].row); r != none {
		return refuse(r)
	}
	headers, tags, ok := beside(p, i)
	if !ok {
		return refuse(invalid)
	}
	o := &Object{
		Version: &event.Version{Seq: m.seq, Ordinal: uint32(i)}, Size: b.Size, Etag: b.Etag, Time: m.now, Owner: b.Owner, Acl: b.Acl,
		StorageClass: b.StorageClass, Checksum: b.Checksum, Encryption: b.Encryption, Lock: b.Lock, Headers: headers, Tags: tags,
	}
	if r := m.body(b, source, o); r != none {
		return refuse(r)
	}
	if r := m.add(at, o); r != none {
		return refuse(r)
	}
	return &event.Outcome{Version: o.Version, NullVersion: o.NullVersion, Etag: b.Etag}
}

func (m *model) body(b *event.ObjectPut, source func() *Object, o *Object) event.Refusal {
	if b.Source != nil {
		if len(b.Blobs)+len(b.Segments) > 0 {
			return invalid
		}
		src := source()
		if src == nil || src.Size != b.Size {
			return changed
		}
		o.Blob, o.Assembly = src.Blob, src.Assembly
		if m.differ(o.Encryption, src.Encryption) {
			return invalid
		}
		if m.isSealed(o.Encryption) && len(o.Encryption.Keys) == 0 {
			o.Encryption.Keys = src.Encryption.Keys
		}
		return none
	}
	if r := m.adopt(b.Blobs); r != none {
		return r
	}
	segments, size := b.Segments, uint64(0)
	if len(segments) == 0 {
		segments = m.whole(b.Encryption, b.Blobs)
	}
	for _, s := range segments {
		size += s.Length
	}
	switch {
	case size != b.Size || !m.keyed(b.Encryption, segments):
		return invalid
	case len(segments) == 0:
		return none
	case len(b.Segments) == 0 && len(b.Blobs) == 1:
		o.Blob = b.Blobs[0].Id
		return none
	}
	o.Assembly = o.Version
	m.assemblies[ver(o.Version)] = modelAssembly{segments: segments}
	return m.within(m.isSealed(b.Encryption), segments, b.Blobs)
}

func (m *model) judgeCondition(c *event.Condition, o *Object) event.Refusal {
	same := func(s string) bool { return s == "*" || strings.EqualFold(s, o.Etag) }
	switch {
	case c == nil:
	case o == nil && (len(c.IfMatch) > 0 || c.IfSize != nil || c.IfModifiedTime != nil):
		return event.Refusal_REFUSAL_NO_SUCH_KEY
	case o == nil:
	case c.IfAbsent, len(c.IfMatch) > 0 && !slices.ContainsFunc(c.IfMatch, same), slices.ContainsFunc(c.IfNoneMatch, same),
		c.IfSize != nil && *c.IfSize != o.Size, c.IfModifiedTime != nil && *c.IfModifiedTime != o.Time/1e9:
		return event.Refusal_REFUSAL_PRECONDITION_FAILED
	}
	return none
}

func (m *model) deleteObjects(p *event.Parsed, b *event.ObjectsDeleted) *event.Outcome {
	keys, r := m.keysOf(p, b.Bucket, len(b.Targets))
	if r != none {
		return refuse(r)
	}
	o := &event.Outcome{}
	for i, target := range b.Targets {
		if keys[i] == "" || len(keys[i]) > 1024 {
			return refuse(invalid)
		}
		o.Subs = append(o.Subs, m.deleteOne(objectPlace{b.Bucket, keys[i]}, i, target))
	}
	return o
}

func (m *model) deleteOne(at objectPlace, i int, target *event.DeleteTarget) *event.SubOutcome {
	meant := m.objects[at].row
	switch {
	case target.NullVersion:
		meant = nullOf(m.chain(at))
	case target.Version != nil:
		if meant = m.find(at, target.Version); meant.GetNullVersion() {
			meant = nil // it is named null
		}
	}
	judged := meant
	if meant.GetDeleteMarker() {
		judged = nil
	}
	if r := m.judgeCondition(target.Condition, judged); r != none {
		return &event.SubOutcome{Refusal: r}
	}
	switch {
	case !target.NullVersion && target.Version == nil:
		return m.remove(at, i)
	case meant == nil:
		return &event.SubOutcome{Absent: true}
	}
	return m.destroy(at, meant, target.BypassGovernance)
}

func (m *model) objectACL(b *event.ObjectACLSet, at objectPlace) *event.Outcome {
	return m.change(at, b.Version, func(o *Object) event.Refusal {
		if b.Acl == nil || b.Acl.Owner != o.Owner {
			return invalid
		}
		o.Acl = b.Acl
		return none
	})
}

func (m *model) createUpload(p *event.Parsed, b *event.UploadCreated, at objectPlace) *event.Outcome {
	headers, tags, ok := beside(p, 0)
	if at.name == "" || len(at.name) > 1024 || b.Acl == nil || b.Owner == "" {
		return refuse(invalid)
	}
	if _, ok := m.buckets[at.bucket]; !ok {
		return refuse(noBucket)
	}
	if b.Lock != nil {
		if _, r := m.lockFor(at.bucket, b.Lock); r != none {
			return refuse(r)
		}
	}
	if !ok {
		return refuse(invalid)
	}
	u := &Upload{
		Upload: &event.Version{Seq: m.seq}, Owner: b.Owner, Initiator: b.Initiator, Acl: b.Acl, StorageClass: b.StorageClass,
		ChecksumAlgorithm: b.ChecksumAlgorithm, ChecksumComposite: b.ChecksumComposite, Encryption: b.Encryption, Lock: b.Lock,
		Headers: headers, Tags: tags, Time: m.now,
	}
	m.uploads[uploadPlace{at, ver(u.Upload)}] = u
	return &event.Outcome{Version: u.Upload}
}

func (m *model) putPart(p *event.Parsed, b *event.PartPut, at objectPlace) *event.Outcome {
	if b.Number < 1 || b.Number > 10000 {
		return refuse(invalid)
	}
	u := m.uploads[uploadPlace{at, ver(b.Upload)}]
	if u == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	if b.Source != nil && m.pinned(p, 0, b.Source) == nil {
		return refuse(changed)
	}
	segments, size := append(slices.Clone(b.Segments), m.whole(b.Encryption, b.Blobs)...), uint64(0)
	for _, s := range segments {
		size += s.Length
	}
	if m.differ(b.Encryption, u.Encryption) || !m.keyed(b.Encryption, segments) {
		return refuse(invalid)
	}
	if size != b.Size || len(b.Segments) > 0 && (b.Source == nil || len(b.Blobs) > 0) {
		return refuse(invalid)
	}
	if r := m.adopt(b.Blobs); r != none {
		return refuse(r)
	}
	if r := m.within(m.isSealed(b.Encryption), segments, b.Blobs); r != none {
		return refuse(r)
	}
	m.parts[partPlace{ver(b.Upload), b.Number}] = &Part{
		Number: b.Number, Seq: m.seq, Size: b.Size, Etag: b.Etag, Checksum: b.Checksum, Encryption: b.Encryption, Time: m.now, Segments: segments,
	}
	return &event.Outcome{Etag: b.Etag}
}

func (m *model) complete(b *event.UploadCompleted, at objectPlace) *event.Outcome {
	up, old := uploadPlace{at, ver(b.Upload)}, m.objects[at].row
	if m.uploads[up] == nil {
		if old != nil && b.Upload != nil && old.Upload != nil && ver(old.Upload) == up.upload {
			return &event.Outcome{Version: old.Version, NullVersion: old.NullVersion, Etag: old.Etag}
		}
	}
	return m.completeOne(0, b, at)
}

func (m *model) completeOne(i int, b *event.UploadCompleted, at objectPlace) *event.Outcome {
	up := uploadPlace{at, ver(b.Upload)}
	u, old := m.uploads[up], m.objects[at].row
	if u == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	if r := m.judgeCondition(b.Condition, old); r != none {
		return refuse(r)
	}
	version := &event.Version{Seq: m.seq, Ordinal: uint32(i)}
	o := &Object{
		Version: version, Size: b.Size, Etag: b.Etag, Time: m.now, Owner: u.Owner, Acl: u.Acl,
		StorageClass: u.StorageClass, Checksum: b.Checksum, Lock: u.Lock, Headers: u.Headers, Tags: u.Tags,
		Assembly: version, Upload: u.Upload,
	}
	if u.Encryption != nil {
		o.Encryption = proto.Clone(u.Encryption).(*event.Encryption)
		if m.cluster.FeatureLevel < 3 {
			o.Encryption.Keys = nil
		}
	}
	a, last, size := modelAssembly{}, uint32(0), uint64(0)
	for _, c := range b.Parts {
		p := m.parts[partPlace{up.upload, c.Number}]
		if p == nil || p.Seq != c.Seq || c.Number <= last {
			return refuse(event.Refusal_REFUSAL_INVALID_PART)
		}
		last, size = c.Number, size+p.Size
		a.segments = append(a.segments, p.Segments...)
		a.parts = append(a.parts, &PartInfo{Number: p.Number, Size: p.Size, Checksum: p.Checksum})
		if m.cluster.FeatureLevel < 3 && u.Encryption != nil {
			o.Encryption.Keys = append(o.Encryption.Keys, p.Encryption.GetKeys()...)
		}
		for _, k := range p.Encryption.GetKeys() {
			if m.isSealed(p.Encryption) && !slices.ContainsFunc(a.keys, func(x *event.WrappedKey) bool { return x.Blob.Key() == k.Blob.Key() }) {
				a.keys = append(a.keys, k)
			}
		}
	}
	if len(b.Parts) == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID_PART)
	}
	if size != b.Size {
		return refuse(invalid)
	}
	m.assemblies[ver(o.Version)] = a
	m.dropUpload(up)
	if r := m.add(at, o); r != none {
		return refuse(r)
	}
	return &event.Outcome{Version: o.Version, NullVersion: o.NullVersion, Etag: b.Etag}
}

func (m *model) dropUpload(up uploadPlace) {
	for _, p := range m.partsOf(up.upload) {
		delete(m.parts, partPlace{up.upload, p.Number})
	}
	delete(m.uploads, up)
}

func (m *model) abort(b *event.UploadAborted, at objectPlace) *event.Outcome {
	up := uploadPlace{at, ver(b.Upload)}
	if m.uploads[up] == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	m.dropUpload(up)
	return nil
}
