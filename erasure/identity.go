package erasure

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/durable"
)

// Identity says which disk a directory is. Its file (DIR/identity) is text,
// written once when the disk is formatted, and strict: there is one encoding
// of each identity.
//
//	ironman disk 1\n
//	cluster 00112233445566778899aabbccddeeff\n
//	disk 0f1e2d3c4b5a69788796a5b4c3d2e1f0\n
//	node 1\n
//	slot 0\n
//	number 4\n
//	crc32c 89abcdef\n         of every byte before this line
//
// The number in the first line is the format's version; a reader looks at
// nothing else before it knows that one.
type Identity struct {
	Cluster [16]byte
	Disk    [16]byte // random; what checksums of shards are bound to
	Node    uint32
	Slot    uint32 // which of its node's disks
	Number  uint32 // given by the cluster; never 0
}

const (
	identityName    = "identity"
	identityMagic   = "ironman disk "
	identityVersion = 1
	identityMax     = 4096
)

// encodeIdentity returns the bytes of the identity file.
func encodeIdentity(id Identity) []byte {
	b := fmt.Appendf(nil, "%s%d\ncluster %x\ndisk %x\nnode %d\nslot %d\nnumber %d\n",
		identityMagic, identityVersion, id.Cluster, id.Disk, id.Node, id.Slot, id.Number)
	return fmt.Appendf(b, "crc32c %08x\n", digest.CRC32C(b))
}

// decodeIdentity is the inverse of encodeIdentity; it accepts nothing else.
func decodeIdentity(b []byte) (Identity, error) {
	rest, ok := bytes.CutPrefix(b, []byte(identityMagic))
	version, _, found := bytes.Cut(rest, []byte("\n"))
	if !ok || !found {
		return Identity{}, fmt.Errorf("%w: identity file", ErrCorrupt)
	}
	v, err := strconv.ParseUint(string(version), 10, 16)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: version of the identity file", ErrCorrupt)
	}
	if v > identityVersion {
		return Identity{}, fmt.Errorf("%w: identity file of version %d", ErrNewer, v)
	}
	id, ok := parseIdentity(b)
	if !ok || !bytes.Equal(encodeIdentity(id), b) {
		return Identity{}, fmt.Errorf("%w: identity file", ErrCorrupt)
	}
	return id, nil
}

// parseIdentity reads the fields; the caller compares the encoding, so it need
// not be strict itself.
func parseIdentity(b []byte) (id Identity, ok bool) {
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) != 8 {
		return id, false
	}
	field := func(i int, name string) []byte {
		_, value, _ := bytes.Cut(lines[i], []byte(name+" "))
		return value
	}
	number := func(i int, name string) uint32 {
		n, err := strconv.ParseUint(string(field(i, name)), 10, 32)
		if err != nil {
			return 0
		}
		return uint32(n)
	}
	cluster, disk := field(1, "cluster"), field(2, "disk")
	if len(cluster) != 32 || len(disk) != 32 {
		return id, false
	}
	if _, err := hex.Decode(id.Cluster[:], cluster); err != nil {
		return id, false
	}
	if _, err := hex.Decode(id.Disk[:], disk); err != nil {
		return id, false
	}
	id.Node, id.Slot, id.Number = number(3, "node"), number(4, "slot"), number(5, "number")
	return id, id.Number != 0
}

// Format makes dir a disk: it writes the directory of packs and then the identity
// file, durably. A directory that has this identity already only becomes durable: who
// wrote it may have been killed before. One that has another, or packs without one,
// is ErrFormatted.
func Format(fsys vfs.FS, dir string, id Identity) error {
	if id.Number == 0 || id.Cluster == ([16]byte{}) || id.Disk == ([16]byte{}) {
		return fmt.Errorf("%w: a disk needs a cluster, an id and a number", ErrInvalid)
	}
	packs := fsys.PathJoin(dir, packsName)
	have, err := ReadIdentity(fsys, dir)
	switch {
	case err == nil && have != id:
		return fmt.Errorf("%w: %s is disk %d of node %d", ErrFormatted, dir, have.Number, have.Node)
	case err != nil && !errors.Is(err, ErrNoIdentity):
		return err
	case err != nil:
		if names, err := fsys.List(packs); err == nil && len(names) > 0 {
			return fmt.Errorf("%w: %s holds packs, but has no identity", ErrFormatted, dir)
		}
	}
	if err := durable.MakeDir(fsys, packs, 0o755); err != nil {
		return err
	}
	if have == id {
		return nil // and its entry is as durable as that of the packs
	}
	return writeIdentity(fsys, dir, id)
}

// writeIdentity puts the file in place by a rename, so that it is whole or absent.
func writeIdentity(fsys vfs.FS, dir string, id Identity) error {
	tmp := fsys.PathJoin(dir, identityName+".tmp")
	f, err := fsys.Create(tmp, writeCategory)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeIdentity(id))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, fsys.PathJoin(dir, identityName)); err != nil {
		return err
	}
	if err := durable.SyncDir(fsys, dir); err != nil {
		// Another sync would do nothing for the entry: it has to be made again.
		return errors.Join(err, fsys.Remove(fsys.PathJoin(dir, identityName)))
	}
	return nil
}

// ReadIdentity reads the identity file of a disk. It is ErrNoIdentity where
// there is none.
func ReadIdentity(fsys vfs.FS, dir string) (Identity, error) {
	f, err := fsys.Open(fsys.PathJoin(dir, identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, fmt.Errorf("%w: %s", ErrNoIdentity, dir)
	}
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, identityMax))
	if err != nil {
		return Identity{}, err
	}
	id, err := decodeIdentity(b)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", dir, err)
	}
	return id, nil
}
