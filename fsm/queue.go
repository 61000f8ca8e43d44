package fsm

import (
	"encoding/binary"
	"strings"

	"ironman/wal/event"
)

// BucketEntry is one bucket of a listing.
type BucketEntry struct {
	Name string
	Row  *BucketName
}

// ListBuckets returns an owner's buckets above a name, by name, at most max.
func (v *View) ListBuckets(owner, prefix, above string, max int) ([]BucketEntry, error) {
	var out []BucketEntry
	lower := keyText(tableBucketName, prefix)
	upper := after(lower)
	if above >= prefix && above != "" {
		lower = append(keyText(tableBucketName, above), 0)
	}
	if max <= 0 {
		return nil, nil
	}
	err := v.scan(lower, upper, func(k, b []byte) (bool, error) {
		n, _, err := decodeRow[BucketName](k, b)
		if err == nil && n.Owner == owner {
			out = append(out, BucketEntry{Name: string(k[1:]), Row: n})
		}
		return len(out) < max, err
	})
	return out, err
}

// UploadQuery asks for a page of a bucket's open uploads, by key and then by age.
type UploadQuery struct {
	Bucket                   uint64
	Prefix, Delimiter, After string
	AfterUpload              *event.Version // with After: only uploads of that key above it, and later keys
	Max                      int
}

// UploadItem is one line: an upload, or a common prefix.
type UploadItem struct {
	Prefix string
	Upload *Upload // nil: Prefix is a common prefix
}

// ListUploads returns a page and whether there is more.
func (v *View) ListUploads(q UploadQuery) (items []UploadItem, truncated bool, err error) {
	roll := ListQuery{Prefix: q.Prefix, Delimiter: q.Delimiter, After: q.After}
	base := appendEscaped(key(tableUpload, q.Bucket), q.Prefix)
	base = base[:len(base)-2]
	last := ""
	err = v.scan(v.uploadStart(q), after(base), func(k, b []byte) (bool, error) {
		u, _, err := decodeRow[Upload](k, b)
		if err != nil {
			return false, err
		}
		p, rolled := roll.commonPrefix(u.Key)
		if rolled && (p == last || q.AfterUpload == nil && p == q.After) {
			return true, nil
		}
		if len(items) == q.Max {
			truncated = true
			return false, nil
		}
		if rolled {
			last = p
			items = append(items, UploadItem{Prefix: p})
			return true, nil
		}
		items = append(items, UploadItem{Upload: u})
		return true, nil
	})
	if q.Max <= 0 {
		return nil, false, err
	}
	return items, truncated, err
}

func (v *View) uploadStart(q UploadQuery) []byte {
	prefix := appendEscaped(key(tableUpload, q.Bucket), q.Prefix)
	prefix = prefix[:len(prefix)-2]
	if q.After == "" || strings.Compare(q.After, q.Prefix) < 0 {
		return prefix
	}
	k := appendEscaped(key(tableUpload, q.Bucket), q.After)
	if q.AfterUpload == nil {
		return after(k) // past every upload of that key
	}
	return append(appendVersion(k, q.AfterUpload), 0)
}

// Due returns bodies that may be released at a log time, at most max of them.
func (v *View) Due(now int64, max int) (blobs []*event.BlobID, assemblies []*event.Version, err error) {
	err = v.scan(key(tableRelease), key(tableRelease, uint64(now)+1), func(k, _ []byte) (bool, error) {
		id := k[10:]
		switch {
		case k[9] == releaseBlob && len(id) == 16:
			blobs = append(blobs, event.BlobIDFromKey([16]byte(id)))
		case k[9] == releaseAssembly && len(id) == 12:
			assemblies = append(assemblies, &event.Version{Seq: binary.BigEndian.Uint64(id), Ordinal: binary.BigEndian.Uint32(id[8:])})
		}
		return len(blobs)+len(assemblies) < max, nil
	})
	return blobs, assemblies, err
}

// PackEntry is a pack that the state machine knows.
type PackEntry struct {
	ID  *event.PackID
	Row *Pack
}

// Packs returns the packs of a disk that have, or had, live shards.
func (v *View) Packs(disk uint32) ([]PackEntry, error) {
	var out []PackEntry
	prefix := key32(tablePack, disk)
	err := v.scan(prefix, after(prefix), func(k, b []byte) (bool, error) {
		p, _, err := decodeRow[Pack](k, b)
		id := &event.PackID{Incarnation: binary.BigEndian.Uint64(k[5:]), Counter: binary.BigEndian.Uint64(k[13:])}
		out = append(out, PackEntry{ID: id, Row: p})
		return true, err
	})
	return out, err
}

// Pack returns what is live in a pack; nil if no shard was ever named in it.
func (v *View) Pack(disk uint32, id *event.PackID) (*Pack, error) {
	return read[Pack](v, packKey(disk, id))
}

// SeqAt returns the sequence of the first event at or after a log time in whole
// seconds since the Unix epoch; the present's if there is none.
func (v *View) SeqAt(second int64) (uint64, error) {
	seq := v.applied.Next
	err := v.scan(key(tableTime, uint64(second)), after(key(tableTime)), func(_, b []byte) (bool, error) {
		if len(b) == 8 {
			seq = binary.BigEndian.Uint64(b)
		}
		return false, nil
	})
	return seq, err
}

// HistoryFrom returns the sequence that ended the oldest history row, if there is one.
func (v *View) HistoryFrom() (to uint64, ok bool, err error) {
	err = v.scan(key(tableHistoryIndex), after(key(tableHistoryIndex)), func(k, _ []byte) (bool, error) {
		to, ok = binary.BigEndian.Uint64(k[1:]), true
		return false, nil
	})
	return to, ok, err
}
