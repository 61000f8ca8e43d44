package fsm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// model is the state machine once more, in plain maps: slow, and nothing in it is
// kept up to date that can be counted. Messages in it are never changed in place,
// so that a clone of the maps is a snapshot.
type model struct {
	window uint64
	seq    uint64 // of the next event
	now    int64

	cluster      *Cluster
	nodes        map[uint32]*Node
	disks        map[uint32]*Disk
	incarnations map[uint64]uint32
	packs        map[packPlace]bool // known; true: released
	blobs        map[[16]byte]modelBlob
	abandoned    map[[16]byte]bool
	assemblies   map[moment]modelAssembly
	accounts     map[string]*Account
	users        map[string]*Principal
	keys         map[string]*AccessKey
	names        map[string]dated[*BucketName]
	buckets      map[uint64]dated[*Bucket]
	documents    map[documentPlace]dated[*Document]
	objects      map[objectPlace]dated[*Object]
	versions     map[versionPlace]dated[*Object]
	nulls        map[objectPlace]dated[*event.Version]
	cursors      map[cursorPlace]*Cursor
	erasures     map[uint64]*Erasure
	erased       map[uint64]*Erased
	reads        map[uint32]*ReadsHead
	quotas       map[string]*event.Quota // of accounts that ever had one
	uploads      map[uploadPlace]*Upload
	parts        map[partPlace]*Part
	vault        modelVault
	retentions   map[uint64]*Retention
	history      []past
	requests     []modelRequest // by sequence
	seconds      map[int64]uint64
}

type (
	packPlace struct {
		disk                 uint32
		incarnation, counter uint64
	}
	documentPlace struct {
		bucket uint64
		kind   event.DocumentKind
	}
	objectPlace struct {
		bucket uint64
		name   string
	}
	versionPlace struct {
		objectPlace
		version moment
	}
	cursorPlace struct {
		bucket uint64
		kind   event.CursorKind
		name   string
	}
	uploadPlace struct {
		objectPlace
		upload moment
	}
	partPlace struct {
		upload moment
		number uint32
	}
	// moment is a comparable version.
	moment struct {
		seq     uint64
		ordinal uint32
	}
	modelBlob struct {
		blob *event.Blob
		refs uint64 // as counted after the last event
		due  int64
	}
	modelAssembly struct {
		segments []*event.Segment
		parts    []*PartInfo
		keys     []*event.WrappedKey
		refs     uint64
		due      int64
	}
	// dated is a row of a historical table.
	dated[T any] struct {
		from uint64
		row  T
	}
	// past is a superseded row.
	past struct {
		key      string
		from, to uint64
		row      proto.Message
		bucket   uint64
		apart    bool // it is in the index of its bucket
	}
	modelRequest struct {
		id, cancelled string
		outcome       *event.Outcome
	}
)

func newModel(window uint64) *model {
	return &model{
		window: window, nodes: map[uint32]*Node{}, disks: map[uint32]*Disk{}, incarnations: map[uint64]uint32{},
		packs: map[packPlace]bool{}, blobs: map[[16]byte]modelBlob{}, abandoned: map[[16]byte]bool{},
		assemblies: map[moment]modelAssembly{}, accounts: map[string]*Account{}, users: map[string]*Principal{},
		keys: map[string]*AccessKey{}, names: map[string]dated[*BucketName]{}, buckets: map[uint64]dated[*Bucket]{},
		documents: map[documentPlace]dated[*Document]{}, objects: map[objectPlace]dated[*Object]{},
		uploads: map[uploadPlace]*Upload{}, parts: map[partPlace]*Part{}, seconds: map[int64]uint64{}, vault: newModelVault(),
		versions: map[versionPlace]dated[*Object]{}, nulls: map[objectPlace]dated[*event.Version]{},
		cursors: map[cursorPlace]*Cursor{}, quotas: map[string]*event.Quota{}, retentions: map[uint64]*Retention{}, erasures: map[uint64]*Erasure{}, erased: map[uint64]*Erased{}, reads: map[uint32]*ReadsHead{},
	}
}

func (m *model) clone() *model {
	c := *m
	c.nodes, c.disks, c.incarnations = maps.Clone(m.nodes), maps.Clone(m.disks), maps.Clone(m.incarnations)
	c.packs, c.blobs, c.abandoned, c.assemblies = maps.Clone(m.packs), maps.Clone(m.blobs), maps.Clone(m.abandoned), maps.Clone(m.assemblies)
	c.accounts, c.users, c.keys = maps.Clone(m.accounts), maps.Clone(m.users), maps.Clone(m.keys)
	c.names, c.buckets, c.documents = maps.Clone(m.names), maps.Clone(m.buckets), maps.Clone(m.documents)
	c.objects, c.uploads, c.parts = maps.Clone(m.objects), maps.Clone(m.uploads), maps.Clone(m.parts)
	c.versions, c.nulls, c.cursors, c.quotas = maps.Clone(m.versions), maps.Clone(m.nulls), maps.Clone(m.cursors), maps.Clone(m.quotas)
	c.vault, c.retentions = m.vault.clone(), maps.Clone(m.retentions)
	c.erasures, c.erased, c.reads = maps.Clone(m.erasures), maps.Clone(m.erased), maps.Clone(m.reads)
	c.history, c.seconds = slices.Clone(m.history), maps.Clone(m.seconds)
	return &c
}

func ver(v *event.Version) moment { return moment{v.GetSeq(), v.GetOrdinal()} }

// remembered is the newest event of the window that a request id stands for.
func (m *model) remembered(id string) (uint64, *event.Outcome) {
	for seq := len(m.requests) - 1; seq >= 0 && uint64(seq)+m.window >= m.seq; seq-- {
		if r := m.requests[seq]; id != "" && (r.id == id || r.cancelled == id) {
			return uint64(seq), r.outcome
		}
	}
	return 0, nil
}

// apply is what the machine should make of a proposal; nil is a malformed one.
func (m *model) apply(stamp int64, p *event.Parsed) Result {
	h := &event.Header{}
	if p != nil {
		h = p.Statement.Header
		if seq, o := m.remembered(string(h.RequestId)); o != nil {
			return Result{Seq: seq, Outcome: o, Duplicate: true}
		}
	}
	c := m.clone()
	last := m.now
	c.now = max(min(stamp, 1<<63-1-1<<48), m.now+1)
	m.now = c.now
	o := c.judge(h, p)
	if o.Refusal == event.Refusal_REFUSAL_NONE && c.overQuota(m) {
		o = refuse(event.Refusal_REFUSAL_QUOTA_EXCEEDED)
	}
	if o.Refusal == event.Refusal_REFUSAL_NONE {
		c.settle()
		requests := m.requests
		*m = *c
		m.requests = requests
	}
	if o.Time == 0 {
		o = proto.Clone(o).(*event.Outcome)
		o.Time = m.now
	}
	r := modelRequest{id: string(h.RequestId), outcome: o}
	if p != nil && p.Statement.GetCancel() != nil && o.Refusal == event.Refusal_REFUSAL_CANCELLED {
		r.cancelled = string(p.Statement.GetCancel().RequestId)
	}
	m.requests = append(m.requests, r)
	if s := m.now / int64(time.Second); m.seq == 0 || s != last/int64(time.Second) {
		m.seconds[s] = m.seq
	}
	m.seq++
	return Result{Seq: m.seq - 1, Outcome: o}
}

func (m *model) judge(h *event.Header, p *event.Parsed) *event.Outcome {
	switch {
	case p == nil:
		return refuse(event.Refusal_REFUSAL_INVALID)
	case p.Statement.GetClusterInitialized() != nil:
	case m.cluster == nil || h.Base > m.seq:
		return refuse(event.Refusal_REFUSAL_INVALID)
	case h.FeatureLevel > m.cluster.FeatureLevel && h.FeatureLevel > p.Statement.GetEpochBegun().GetFeatureLevel(), h.FeatureLevel < p.Statement.Level():
		return refuse(event.Refusal_REFUSAL_FEATURE_LEVEL)
	case m.seq-h.Base > m.window:
		return refuse(event.Refusal_REFUSAL_STALE_BASE)
	}
	o := m.dispatch(p)
	if o == nil {
		o = &event.Outcome{}
	}
	return o
}

// settle counts the references of every body and dates those that lost the last.
func (m *model) settle() {
	blobs, assemblies := map[[16]byte]uint64{}, map[moment]uint64{}
	body := func(o *Object) {
		if o.Blob != nil {
			blobs[o.Blob.Key()]++
		}
		if o.Assembly != nil {
			assemblies[ver(o.Assembly)]++
		}
	}
	for _, o := range m.objects {
		body(o.row)
	}
	for _, o := range m.versions {
		body(o.row)
	}
	for _, h := range m.history {
		if o, ok := h.row.(*Object); ok {
			body(o)
		}
	}
	for _, p := range m.parts {
		for _, s := range p.Segments {
			blobs[s.Blob.Key()]++
		}
	}
	for v, a := range m.assemblies {
		for _, s := range a.segments {
			blobs[s.Blob.Key()]++
		}
		a.refs, a.due = assemblies[v], m.due(a.refs, assemblies[v], a.due)
		m.assemblies[v] = a
	}
	for k, b := range m.blobs {
		b.refs, b.due = blobs[k], m.due(b.refs, blobs[k], b.due)
		m.blobs[k] = b
	}
}

func (m *model) due(before, after uint64, due int64) int64 {
	if after > 0 {
		return 0
	}
	if before > 0 {
		return m.now + m.cluster.ReleaseGrace
	}
	return due
}

func (m *model) usage(bucket uint64) *Usage {
	u := &Usage{}
	for at, o := range m.objects {
		if at.bucket == bucket {
			u.Objects++
			u.Bytes += o.row.Size
		}
	}
	for at, o := range m.versions {
		if at.bucket == bucket && !o.row.DeleteMarker {
			u.Noncurrent++
			u.NoncurrentBytes += o.row.Size
		}
	}
	for at := range m.uploads {
		if at.bucket != bucket {
			continue
		}
		u.Uploads++
		for _, p := range m.partsOf(at.upload) {
			if m.level3() {
				u.PartBytes += p.Size
			}
		}
	}
	return u
}

func (m *model) partsOf(v moment) []*Part {
	var parts []*Part
	for at, p := range m.parts {
		if at.upload == v {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, func(a, b *Part) int { return cmp.Compare(a.Number, b.Number) })
	return parts
}
