package dynamostore

import "github.com/domicile-api/domicile/internal/store"

// ChangeOf returns the change that a record of a table's stream tells of, by the values of the table's two keys; false when these are of another
// kind. It is for functions, which get their records in an event.
func ChangeOf(pk, sk []byte, deleted bool) (store.Change, bool) {
	key, err := decodeKey(pk, sk)
	return store.Change{Key: key, Deleted: deleted}, err == nil
}
