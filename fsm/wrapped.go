package fsm

import (
	"fmt"

	"ironman/wal/event"
)

// WrappedKeys calls f for every wrapped data key that a row holds, of now or of the past,
// until it returns an error. It reads all rows of objects, bodies, parts and history.
func (v *View) WrappedKeys(f func(*event.WrappedKey) error) error {
	for _, tb := range []table{tableAssembly, tableObject, tableVersion, tablePart, tableHistory} {
		err := v.scan(key(tb), after(key(tb)), func(k, b []byte) (bool, error) {
			if tb == tableHistory {
				row, _, ok := cutEscaped(k[1:])
				if !ok || len(row) == 0 {
					return false, fmt.Errorf("fsm: row %x: %w", k, event.ErrMalformed)
				}
				k = row
			}
			keys, err := wrappedKeys(k, b)
			if err != nil {
				return false, err
			}
			for _, w := range keys {
				if err := f(w); err != nil {
					return false, err
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// wrappedKeys are those of one row.
func wrappedKeys(k, b []byte) ([]*event.WrappedKey, error) {
	switch tableOf(k) {
	case tableAssembly:
		a, _, err := decodeRow[Assembly](k, b)
		return a.GetKeys(), err
	case tablePart:
		p, _, err := decodeRow[Part](k, b)
		return p.GetEncryption().GetKeys(), err
	case tableObject, tableVersion:
		o, _, err := decodeRow[Object](k, b)
		return o.GetEncryption().GetKeys(), err
	}
	return nil, nil
}
