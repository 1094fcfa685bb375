package pebblestore

import (
	"encoding/binary"
	"errors"

	"github.com/domicile-api/domicile/internal/store"
)

// The first byte of an engine key says what is under it.
const (
	spaceItem  = 'i'
	spaceToken = 't'
)

var errKey = errors.New("malformed key")

// maxTableName keeps a table's name, which is part of every key, short.
const maxTableName = 32

// tablePrefix is what each key of a table begins with: the space, the name's length and the name. No prefix is the beginning
// of another.
func tablePrefix(space byte, table string) string {
	return string([]byte{space, byte(len(table))}) + table //nolint:gosec // At most maxTableName.
}

func validTableName(name string) bool {
	if name == "" || len(name) > maxTableName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// appendPartition appends what the keys of a partition begin with. The partition's length stands before it, so that no
// partition's prefix is the beginning of another's, whatever bytes they have; partitions need no order among them.
func appendPartition(dst []byte, prefix, partition string) []byte {
	dst = append(dst, prefix...)
	dst = binary.AppendUvarint(dst, uint64(len(partition)))
	return append(dst, partition...)
}

func appendKey(dst []byte, prefix string, key store.Key) []byte {
	return append(appendPartition(dst, prefix, key.Partition), key.Sort...)
}

// splitTable splits an engine key into its table's name and the rest.
func splitTable(key []byte) (table string, rest []byte, err error) {
	if len(key) < 2 || int(key[1]) > min(maxTableName, len(key)-2) {
		return "", nil, errKey
	}
	n := 2 + int(key[1])
	return string(key[2:n]), key[n:], nil
}

// parseKey splits an engine key of the item space.
func parseKey(key []byte) (table string, item store.Key, err error) {
	table, rest, err := splitTable(key)
	if err != nil {
		return "", store.Key{}, err
	}
	partition, sort, err := takeBytes(rest)
	if err != nil {
		return "", store.Key{}, errKey
	}
	return table, store.Key{Partition: string(partition), Sort: string(sort)}, nil
}

// successor changes prefix to the first key that is after all keys with that prefix. A prefix starts with a space, which
// always has a successor.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			prefix[i]++
			return prefix[:i+1]
		}
	}
	return nil
}
