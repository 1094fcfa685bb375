package store

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest is SHA-256 of everything in the commit but its token, so that an adapter can tell whether a token names the same
// commit. Expiry counts to the second, as it is stored.
func (c Commit) Digest() [sha256.Size]byte {
	h := sha256.New()
	buf := make([]byte, 0, 256)
	for _, op := range c.Ops {
		buf = appendOp(buf[:0], op)
		buf = binary.AppendUvarint(buf, uint64(len(op.Item.Value)))
		_, _ = h.Write(buf) // A hash never fails.
		_, _ = h.Write(op.Item.Value)
	}
	return [sha256.Size]byte(h.Sum(buf[:0]))
}

func appendOp(buf []byte, op Op) []byte {
	it := op.Item
	buf = append(buf, byte(op.Kind), byte(op.If.kind))
	for _, n := range [...]uint64{
		uint64(op.If.version.Epoch), uint64(op.If.version.Seq), uint64(it.Version.Epoch), uint64(it.Version.Seq),
		uint64(it.Tag.Class),
	} {
		buf = binary.AppendUvarint(buf, n)
	}
	var expires int64
	if !it.Expires.IsZero() {
		expires = it.Expires.Unix()
	}
	buf = binary.AppendVarint(buf, expires)
	for _, s := range [...]string{it.Key.Partition, it.Key.Sort, string(it.Tag.Tenant), string(it.Tag.Jurisdiction)} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	return buf
}
