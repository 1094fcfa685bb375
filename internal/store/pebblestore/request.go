package pebblestore

import (
	"context"
	"encoding/binary"

	"github.com/domicile-api/domicile/internal/store"
)

// request is a commit on its way through the committer, encoded in the goroutine of its caller. It refers to nothing that the
// caller may change.
type request struct {
	table *table
	ops   []encodedOp
	bytes int
	// token is the engine key of the commit's token, if it has one; tokenRecord what is stored under it.
	token       string
	tokenRecord []byte
	// sweep removes, of the items of ops, those that are expired when the committer looks at them.
	sweep bool

	err  error
	done chan struct{}
}

// encodedOp is an operation as the engine takes it.
type encodedOp struct {
	kind store.OpKind
	cond store.Condition
	// key is the engine key; its first partition bytes are the partition's prefix.
	key       string
	partition int
	// record is what a Put stores, and header its beginning.
	record []byte
	header header
	item   store.Key
}

// encodeCommit makes a request of a valid commit. Keys share one string, records one slice.
func encodeCommit(t *table, c *store.Commit) *request {
	r := &request{table: t, ops: make([]encodedOp, len(c.Ops)), done: make(chan struct{}, 1)}
	keyBytes, recordBytes := 0, 0
	for i := range c.Ops {
		it := &c.Ops[i].Item
		keyBytes += len(t.items) + binary.MaxVarintLen16 + len(it.Key.Partition) + len(it.Key.Sort)
		if c.Ops[i].Kind == store.Put {
			recordBytes += recordSize(it)
		}
	}
	r.bytes = keyBytes + recordBytes
	if c.Token != "" {
		r.setToken(c)
	}
	keys, records := make([]byte, 0, keyBytes), make([]byte, 0, recordBytes)
	var ends [store.MaxOps]int
	for i := range c.Ops {
		op, out := &c.Ops[i], &r.ops[i]
		begin := len(keys)
		keys = appendPartition(keys, t.items, op.Item.Key.Partition)
		*out = encodedOp{kind: op.Kind, cond: op.If, partition: len(keys) - begin, item: op.Item.Key}
		keys = append(keys, op.Item.Key.Sort...)
		ends[i] = len(keys)
		if op.Kind == store.Put {
			start := len(records)
			records = appendRecord(records, &op.Item)
			out.record = records[start:len(records):len(records)]
			out.header = header{version: op.Item.Version, expires: unixExpiry(op.Item.Expires)}
		}
	}
	all, begin := string(keys), 0
	for i := range r.ops {
		r.ops[i].key, begin = all[begin:ends[i]], ends[i]
	}
	return r
}

func (r *request) setToken(c *store.Commit) {
	expires := unixExpiry(r.table.db.cfg.Clock().Add(store.TokenLife))
	r.token = r.table.tokens + c.Token
	r.tokenRecord = appendTokenRecord(make([]byte, 0, tokenRecordSize), c.Digest(), expires)
	r.bytes += len(r.token) + len(r.tokenRecord)
}

// changes appends what the feed tells of the request.
func (r *request) changes(dst []store.Change) []store.Change {
	for i := range r.ops {
		if op := &r.ops[i]; op.kind != store.Check && op.item.Partition != "" { // A swept token is no item.
			dst = append(dst, store.Change{Key: op.item, Deleted: op.kind == store.Delete})
		}
	}
	return dst
}

// wait returns the outcome. A caller that does not wait for it leaves it unknown.
func (r *request) wait(ctx context.Context, fuse *fuse) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	case <-fuse.blown:
		return fuse.err()
	}
}
