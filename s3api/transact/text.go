package transact

import (
	"fmt"
	"reflect"
	"unicode/utf8"

	"ironman/s3api/transaction"
)

// add adds an operation. One that the document cannot say as it is fails the transaction:
// JSON would put other characters for what is not UTF-8, and so name another key.
func (t *Transaction) add(o transaction.Operation) error {
	if !isText(reflect.ValueOf(o)) {
		return t.fail(fmt.Errorf("transact: something of the operation on key %q is not UTF-8", o.Key()))
	}
	t.doc.Operations = append(t.doc.Operations, o)
	return nil
}

// isText tells whether all strings in a value are UTF-8.
func isText(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Pointer:
		return v.IsNil() || isText(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if !isText(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !isText(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			if !isText(i.Key()) || !isText(i.Value()) {
				return false
			}
		}
	}
	return true
}
