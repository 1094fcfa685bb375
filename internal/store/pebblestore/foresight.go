package pebblestore

import (
	"github.com/domicile-api/domicile/internal/store"
)

// foresight is what a caller read for the conditions of its commit before it queued it, so that the committer, which is alone,
// need not. The committer believes it unless a later group has marked the key.
type foresight struct {
	stored stored
	// group is the last one that was applied before the read; 0: nothing was read.
	group uint64
}

// foresee reads what the request's conditions are about. What cannot be read is left to the committer.
func (r *request) foresee(db *DB) {
	if db.enter() != nil {
		return
	}
	defer db.closing.RUnlock()
	group := db.unsynced.applied.Load()
	var scratch []byte
	if r.token != "" {
		r.foreseen, scratch = db.foresee(group, r.token, scratch)
	}
	for i := range r.ops {
		if op := &r.ops[i]; op.cond != store.Always() {
			op.foreseen, scratch = db.foresee(group, op.key, scratch)
		}
	}
}

func (db *DB) foresee(group uint64, key string, scratch []byte) (f foresight, buf []byte) {
	scratch = append(scratch[:0], key...)
	err := readEngine(func() (err error) {
		f.stored, err = db.readStored(scratch)
		return err
	})
	if err != nil {
		return foresight{}, scratch
	}
	f.group = group
	return f, scratch
}

// holds tells whether what was read is what the engine still has.
func (f *foresight) holds(u *unsynced, key string) bool {
	return f.group > 0 && u.marked(key) <= f.group
}
