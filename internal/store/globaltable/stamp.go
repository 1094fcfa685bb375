package globaltable

import (
	"encoding/binary"
	"errors"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// stamp is when and by whom an item was last written. It stands before the item's value.
type stamp struct {
	time   int64 // nanoseconds since 1970, by the writer's clock
	region ident.RegionID
}

// before tells whether s loses against o.
func (s stamp) before(o stamp) bool {
	return s.time < o.time || s.time == o.time && s.region < o.region
}

// encode puts the stamp before a value: time, length of the region's id, id, value.
func (s stamp) encode(value []byte) []byte {
	out := make([]byte, 0, 9+len(s.region)+len(value))
	out = binary.BigEndian.AppendUint64(out, uint64(s.time)) //nolint:gosec // Read back as it was written.
	out = append(out, byte(len(s.region)))
	out = append(out, s.region...)
	return append(out, value...)
}

var errStamp = errors.New("globaltable: an item without a stamp")

// decodeStamp takes apart what encode made. The value is part of data.
func decodeStamp(data []byte) (stamp, []byte, error) {
	if len(data) < 9 || len(data) < 9+int(data[8]) {
		return stamp{}, nil, errStamp
	}
	end := 9 + int(data[8])
	return stamp{time: int64(binary.BigEndian.Uint64(data)), region: ident.RegionID(data[9:end])}, data[end:], nil //nolint:gosec // See encode.
}

// public is a stored item as the table's users know it.
func public(item store.Item) (store.Item, error) {
	_, value, err := decodeStamp(item.Value)
	if err != nil {
		return store.Item{}, err
	}
	item.Key.Partition = item.Key.Partition[len(itemPrefix):]
	item.Value = value
	return item, nil
}
