package globaltable

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// stamp is when and by whom an item was last written or deleted.
type stamp struct {
	time   int64 // nanoseconds since 1970, by the writer's clock
	region ident.RegionID
}

// before tells whether s loses against o. The zero stamp loses against all.
func (s stamp) before(o stamp) bool {
	return s.time < o.time || s.time == o.time && s.region < o.region
}

// version is what the stamp's record has for a version, so that a change of it can be made a condition. Regions are told
// apart by a hash (FNV-1a, 64 bits), which serves for equality alone; before orders by name.
func (s stamp) version() ident.Version {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.region))                                            // A hash never fails.
	return ident.Version{Epoch: ident.Epoch(s.time), Seq: ident.Seq(h.Sum64())} //nolint:gosec // Read back as it was written.
}

// unchanged is the condition that an item has this stamp still.
func (s stamp) unchanged() store.Condition {
	if s == (stamp{}) {
		return store.Absent()
	}
	return store.VersionIs(s.version())
}

// sortOf names an item in the bookkeeping: SHA-256 of its key, since the key itself may be too long for a sort key.
func sortOf(k store.Key) string {
	h := sha256.New()
	_, _ = h.Write(appendKey(nil, k)) // A hash never fails.
	return string(h.Sum(nil))
}

// stampOp records a stamp if the item has still the stamp before. The record of an item that is gone, or will be, goes some time
// after it.
func (t *Table) stampOp(op store.Op, before, s stamp) store.Op {
	var gone time.Time
	switch {
	case op.Kind == store.Delete:
		gone = t.cfg.Clock()
	case !op.Item.Expires.IsZero():
		gone = op.Item.Expires
	}
	if !gone.IsZero() {
		gone = gone.Add(TombstoneTTL)
		if least := t.cfg.Clock().Add(TombstoneTTL); gone.Before(least) {
			gone = least
		}
	}
	value := appendKey(nil, op.Item.Key)
	return store.Op{Kind: store.Put, If: before.unchanged(), Item: store.Item{
		Key: store.Key{Partition: stampPartition, Sort: sortOf(op.Item.Key)}, Version: s.version(), Tag: bookkeeping(),
		Value: append(value, s.region...), Expires: gone,
	}}
}

// bookkeeping is the tag of all bookkeeping: keys are opaque and times tell nothing.
func bookkeeping() store.Tag { return store.Tag{Class: store.ClassGlobal} }

// stampOf is when a key was last written, as far as this replica knows; the zero stamp if it does not.
func (t *Table) stampOf(ctx context.Context, key store.Key) (stamp, error) {
	it, err := t.cfg.Local.Get(ctx, store.Key{Partition: stampPartition, Sort: sortOf(key)})
	if errors.Is(err, store.ErrNotFound) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	_, s, err := parseStamp(it)
	return s, err
}

func parseStamp(it store.Item) (store.Key, stamp, error) {
	key, region, err := parseKey(it.Value)
	return key, stamp{time: int64(it.Version.Epoch), region: ident.RegionID(region)}, err //nolint:gosec // See version.
}

// appendKey appends the length of the partition, the partition, the length of the sort key, and the sort key.
func appendKey(dst []byte, k store.Key) []byte {
	for _, part := range [...]string{k.Partition, k.Sort} {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	return dst
}

var errBookkeeping = errors.New("globaltable: a damaged record")

// parseKey reads what appendKey wrote, and returns what is after it.
func parseKey(data []byte) (key store.Key, rest []byte, err error) {
	for _, part := range [...]*string{&key.Partition, &key.Sort} {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data[n:])) {
			return store.Key{}, nil, fmt.Errorf("%w of %d bytes", errBookkeeping, len(data))
		}
		data = data[n:]
		*part, data = string(data[:size]), data[size:]
	}
	return key, data, nil
}
