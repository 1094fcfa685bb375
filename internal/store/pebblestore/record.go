package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// recordFormat is the first byte of a stored item. The rest is: epoch, number and expiry as uvarints, the class as a byte,
// tenant and jurisdiction each after its length, and the value to the end.
const recordFormat = 1

var errRecord = errors.New("malformed record")

// header is what conditions need of a stored item.
type header struct {
	version ident.Version
	// expires is in Unix seconds; 0: never.
	expires uint64
}

func (h header) expired(now uint64) bool { return h.expires != 0 && now >= h.expires }

// unixExpiry rounds up to the second, so that an item is never gone before its time.
func unixExpiry(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return uint64(max(s, 1))
}

func unixNow(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) }

// recordSize bounds the size of the record of an item.
func recordSize(it *store.Item) int {
	return 2 + 5*binary.MaxVarintLen64 + len(it.Tag.Tenant) + len(it.Tag.Jurisdiction) + len(it.Value)
}

func appendRecord(dst []byte, it *store.Item) []byte {
	dst = append(dst, recordFormat)
	dst = binary.AppendUvarint(dst, uint64(it.Version.Epoch))
	dst = binary.AppendUvarint(dst, uint64(it.Version.Seq))
	dst = binary.AppendUvarint(dst, unixExpiry(it.Expires))
	dst = append(dst, byte(it.Tag.Class))
	dst = appendString(dst, string(it.Tag.Tenant))
	dst = appendString(dst, string(it.Tag.Jurisdiction))
	return append(dst, it.Value...)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// parseHeader reads what conditions need and returns the rest.
func parseHeader(rec []byte) (h header, rest []byte, err error) {
	if len(rec) == 0 || rec[0] != recordFormat {
		return header{}, nil, errRecord
	}
	rest = rec[1:]
	var fields [3]uint64
	for i := range fields {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return header{}, nil, errRecord
		}
		fields[i], rest = v, rest[n:]
	}
	h.version = ident.Version{Epoch: ident.Epoch(fields[0]), Seq: ident.Seq(fields[1])}
	h.expires = fields[2]
	return h, rest, nil
}

// parseRecord reads a stored item but for its key. Nothing of the result refers to rec. Where tenant and jurisdiction are
// those of like, its strings are used again: the items of a page mostly have one tenant.
func parseRecord(rec []byte, like store.Tag) (it store.Item, h header, err error) {
	h, rest, err := parseHeader(rec)
	if err != nil {
		return store.Item{}, header{}, err
	}
	if len(rest) == 0 {
		return store.Item{}, header{}, errRecord
	}
	it.Version = h.version
	if h.expires != 0 {
		it.Expires = time.Unix(int64(h.expires), 0).UTC() //nolint:gosec // Written from an int64.
	}
	it.Tag.Class, rest = store.Class(rest[0]), rest[1:]
	tenant, rest, err := takeBytes(rest)
	if err != nil {
		return store.Item{}, header{}, err
	}
	jurisdiction, rest, err := takeBytes(rest)
	if err != nil {
		return store.Item{}, header{}, err
	}
	it.Tag.Tenant, it.Tag.Jurisdiction = like.Tenant, like.Jurisdiction
	if string(tenant) != string(like.Tenant) {
		it.Tag.Tenant = ident.TenantID(tenant)
	}
	if string(jurisdiction) != string(like.Jurisdiction) {
		it.Tag.Jurisdiction = ident.Jurisdiction(jurisdiction)
	}
	it.Value = append(make([]byte, 0, len(rest)), rest...)
	return it, h, nil
}

func takeBytes(b []byte) (field, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b[n:])) {
		return nil, nil, errRecord
	}
	b = b[n:]
	return b[:size], b[size:], nil
}

// A token's record is the digest of its commit and its expiry.
const tokenRecordSize = 32 + 8

func appendTokenRecord(dst []byte, digest [32]byte, expires uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, digest[:]...), expires)
}

func parseTokenRecord(rec []byte) (digest [32]byte, expires uint64, err error) {
	if len(rec) != tokenRecordSize {
		return digest, 0, fmt.Errorf("%w of a token", errRecord)
	}
	return [32]byte(rec[:32]), binary.BigEndian.Uint64(rec[32:]), nil
}
