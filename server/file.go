package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

var errNoFile = errors.New("no such file")

// maxSmallFile bounds the files of a node's identity.
const maxSmallFile = 64 << 10

// readSmall reads a small file; errNoFile if there is none.
func readSmall(f vfs.FS, path string) ([]byte, error) {
	file, err := f.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, errNoFile)
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxSmallFile+1))
	if err == nil && len(b) > maxSmallFile {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxSmallFile)
	}
	return b, errors.Join(err, file.Close())
}

// readSecret reads a file that, where modes are checked, nobody but its owner may read.
func readSecret(f vfs.FS, path string, checkMode bool) ([]byte, error) {
	if info, err := f.Stat(path); err == nil && checkMode && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is readable by others (mode %o): chmod 600 it", path, info.Mode().Perm())
	}
	return readSmall(f, path)
}

// writeDurably replaces a file: whole or not at all, and durable on return.
func writeDurably(f vfs.FS, path string, b []byte) error {
	tmp := path + ".tmp"
	file, err := f.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(bytes.Clone(b)) // Write may change what it is given
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := f.Rename(tmp, path); err != nil {
		return err
	}
	return durable.SyncDir(f, f.PathDir(path))
}
