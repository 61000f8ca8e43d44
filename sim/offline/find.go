package offline

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/wal/ledger"
)

// Find looks for names in all files below a node's directory, as they are, and in what is
// compressed there: the rows of Pebble's tables and what the ledger keeps of events. It returns
// where each is.
func Find(files vfs.FS, dir string, names []string) (found map[string][]string, err error) {
	found = make(map[string][]string)
	look := func(where string, b []byte) {
		for _, name := range names {
			if bytes.Contains(b, []byte(name)) {
				found[name] = append(found[name], where)
			}
		}
	}
	err = eachFile(files, dir, func(path string) error {
		if strings.HasSuffix(path, ".sst") {
			if err := fsm.EachStored(files, path, func(row []byte) { look("a row of "+path, row) }); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		f, err := files.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		look(path, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	a, err := ledger.Open(ledger.Options{FS: files, Dir: files.PathJoin(dir, "wal", "ledger"), ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	for r, err := range a.Records(0) {
		if err != nil {
			return nil, err
		}
		where := fmt.Sprintf("event %d of the ledger", r.Seq)
		look(where, r.Statement)
		look(where, r.Outcome)
		for _, item := range r.Items {
			look(where, item.Bytes)
		}
	}
	return found, nil
}

// eachFile calls f for each file below a directory.
func eachFile(files vfs.FS, dir string, f func(path string) error) error {
	names, err := files.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := files.PathJoin(dir, name)
		info, err := files.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = eachFile(files, path, f)
		} else {
			err = f(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
