package fsm

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ironman/wal/event"
)

// rows gives all replicated rows as the model has them, as text by key.
func (m *model) rows() map[string]string {
	out := make(map[string]string)
	put := func(k []byte, from uint64, row proto.Message) { out[string(k)] = show(from, row) }
	raw := func(k []byte, v []byte) { out[string(k)] = fmt.Sprintf("%x", v) }
	if m.cluster != nil {
		c := proto.Clone(m.cluster).(*Cluster)
		c.Disks = uint32(len(m.disks))
		put(key(tableCluster), 0, c)
	}
	for n, x := range m.nodes {
		put(key32(tableNode, n), 0, x)
	}
	for n, x := range m.disks {
		put(key32(tableDisk, n), 0, x)
		put(append([]byte{byte(tableDiskID)}, x.DiskId...), 0, x)
	}
	for i, n := range m.incarnations {
		put(key(tableIncarnation, i), 0, &Incarnation{Node: n})
	}
	for at := range m.packs {
		put(packKey(at.disk, &event.PackID{Incarnation: at.incarnation, Counter: at.counter}), 0, m.live(at))
	}
	for k, b := range m.blobs {
		id := event.BlobIDFromKey(k)
		put(blobKey(tableBlob, id), 0, &BlobRow{Blob: b.blob, Refs: b.refs, Due: b.due})
		if b.due != 0 {
			raw(releaseBlobKey(b.due, id), nil)
		}
	}
	for k := range m.abandoned {
		raw(blobKey(tableAbandoned, event.BlobIDFromKey(k)), nil)
	}
	for v, a := range m.assemblies {
		version := &event.Version{Seq: v.seq, Ordinal: v.ordinal}
		put(assemblyKey(version), 0, &Assembly{Segments: a.segments, Parts: a.parts, Keys: a.keys})
		put(holdersKey(version), 0, &Holders{Refs: a.refs, Due: a.due})
		if a.due != 0 {
			raw(releaseAssemblyKey(a.due, version), nil)
		}
	}
	m.identityRows(put, raw)
	m.vaultRows(put, raw)
	m.objectRows(put, raw)
	for seq := m.seq - min(m.seq, m.window); seq < m.seq; seq++ {
		r := m.requests[seq]
		put(key(tableRequest, seq), 0, &Request{RequestId: []byte(r.id), Outcome: event.Canonical(r.outcome), Cancelled: []byte(r.cancelled)})
	}
	for s, seq := range m.seconds {
		raw(key(tableTime, uint64(s)), binary.BigEndian.AppendUint64(nil, seq))
	}
	return out
}

func (m *model) identityRows(put func([]byte, uint64, proto.Message), raw func([]byte, []byte)) {
	for id, a := range m.accounts {
		put(keyText(tableAccount, id), 0, a)
		raw(keyText(tableAccountID, a.Account), []byte(id))
		if a.Email != "" {
			raw(keyText(tableEmail, a.Email), []byte(id))
		}
	}
	for id, k := range m.keys {
		put(keyText(tableAccessKey, id), 0, k)
	}
}

func (m *model) objectRows(put func([]byte, uint64, proto.Message), raw func([]byte, []byte)) {
	for name, n := range m.names {
		put(keyText(tableBucketName, name), n.from, n.row)
	}
	for id, b := range m.buckets {
		put(key(tableBucket, id), b.from, b.row)
	}
	for at, d := range m.documents {
		put(documentKey(at.bucket, at.kind), d.from, d.row)
	}
	for at, o := range m.objects {
		put(objectKey(at.bucket, at.name), o.from, o.row)
	}
	for at, o := range m.versions {
		put(versionKey(at.bucket, at.name, o.row.Version), o.from, o.row)
	}
	for at, v := range m.nulls {
		put(nullKey(at.bucket, at.name), v.from, v.row)
	}
	for at, c := range m.cursors {
		put(cursorKey(at.bucket, at.kind, at.name), 0, c)
	}
	for seq, e := range m.erasures {
		put(key(tableErasure, seq), 0, e)
	}
	for seq, e := range m.erased {
		put(key(tableErased, seq), 0, e)
	}
	for node, h := range m.reads {
		put(key32(tableReads, node), 0, h)
	}
	for owner, q := range m.quotas {
		h := m.ownerHolds(owner)
		put(keyText(tableHoldings, owner), 0, &Holdings{Quota: q, Objects: h.objects, Bytes: h.bytes})
	}
	for at, u := range m.uploads {
		put(uploadKey(at.bucket, at.name, u.Upload), 0, u)
	}
	for at, p := range m.parts {
		put(partKey(&event.Version{Seq: at.upload.seq, Ordinal: at.upload.ordinal}, at.number), 0, p)
	}
	for _, h := range m.history {
		put(historyKey([]byte(h.key), h.to), h.from, h.row)
		if h.apart {
			raw(bucketIndexKey(h.bucket, h.to, []byte(h.key)), nil)
		} else {
			raw(historyIndexKey(h.to, []byte(h.key)), nil)
		}
	}
	for bucket, r := range m.retentions {
		put(key(tableRetention, bucket), 0, r)
	}
}

func show(from uint64, row proto.Message) string {
	return fmt.Sprintf("%d %x", from, event.Canonical(row))
}

// scanned gives all replicated rows of a machine as rows gives those of a model.
// Usage is left out: a bucket that is empty may have a row or none.
func scanned(t rapid.TB, m *Machine) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for k, v := range allRows(t, m) {
		tb := tableOf([]byte(k))
		if tb == tableHistory {
			row, _, _ := cutEscaped([]byte(k)[1:])
			tb = tableOf(row)
		}
		switch {
		case tb.local() || tb == tableUsage:
		case tb.historical():
			out[k] = fmt.Sprintf("%d %x", binary.BigEndian.Uint64([]byte(v)), v[8:])
		case tb == tableAbandoned || tb == tableRelease || tb == tableAccountID || tb == tableEmail || tb == tableHistoryIndex || tb == tableBucketIndex || tb == tableTime,
			tb == tableName || tb == tableMember || tb == tablePolicyName || tb == tableAttachment || tb == tableKeyOf:
			out[k] = fmt.Sprintf("%x", v)
		default:
			out[k] = fmt.Sprintf("0 %x", v)
		}
	}
	return out
}

// allRows scans everything a machine holds.
func allRows(t rapid.TB, m *Machine) map[string]string {
	t.Helper()
	out := make(map[string]string)
	it, err := m.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		out[string(it.Key())] = string(it.Value())
	}
	if err := it.Error(); err != nil {
		t.Fatal(err)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// diffRows tells where two sets of rows differ.
func diffRows(got, want map[string]string) string {
	var b strings.Builder
	keys := maps.Clone(got)
	maps.Copy(keys, want)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if g, w := describe(k, got), describe(k, want); g != w {
			fmt.Fprintf(&b, "row %x %q\n got %s\nwant %s\n", k[0], k[1:], g, w)
		}
	}
	return b.String()
}

// describe decodes a row for whoever reads a failed test.
func describe(k string, rows map[string]string) string {
	v, ok := rows[k]
	if !ok {
		return "nothing"
	}
	messages := map[table]proto.Message{
		tableCluster: &Cluster{}, tableNode: &Node{}, tablePack: &Pack{}, tableBlob: &BlobRow{}, tableAssembly: &Assembly{}, tableHolders: &Holders{},
		tableBucket: &Bucket{}, tableObject: &Object{}, tableVersion: &Object{}, tableNull: &event.Version{}, tableHoldings: &Holdings{}, tableRetention: &Retention{}, tableCursor: &Cursor{}, tableErasure: &Erasure{}, tableErased: &Erased{}, tableReads: &ReadsHead{}, tableUpload: &Upload{}, tablePart: &Part{}, tableRequest: &Request{},
	}
	m := messages[tableOf([]byte(k))]
	from, text, _ := strings.Cut(v, " ")
	var b []byte
	if _, err := fmt.Sscanf(text, "%x", &b); m == nil || err != nil || schema().Decode(b, m) != nil {
		return v
	}
	return from + " " + prototext.MarshalOptions{}.Format(m) + " " + text
}

// recomputed is the state digest from a full scan.
func recomputed(t rapid.TB, m *Machine) StateDigest {
	t.Helper()
	var d StateDigest
	for k, v := range allRows(t, m) {
		if !tableOf([]byte(k)).local() {
			d.add(m.rowHash([]byte(k), []byte(v)))
		}
	}
	return d
}
