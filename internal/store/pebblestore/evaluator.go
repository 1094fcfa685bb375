package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// evaluator decides the commits of a group one after the other. Only the committer's goroutine uses it.
type evaluator struct {
	db *DB

	// Of the present group:
	group *group
	now   uint64
	room  bool
	// overlay is what the group's batch makes of the items and tokens that it touches.
	overlay map[string]stored
	scratch []byte
}

// stored is what is known of an engine key: its record's header if present, and of a token the digest.
type stored struct {
	header

	present bool
	digest  [32]byte
}

func newEvaluator(db *DB) evaluator { return evaluator{db: db, overlay: make(map[string]stored)} }

func (e *evaluator) begin(g *group, room bool) {
	e.group, e.room = g, room
	e.now = unixNow(e.db.cfg.Clock())
	clear(e.overlay)
}

// evaluate sets the request's error, or puts what it writes into the group's batch.
func (e *evaluator) evaluate(r *request) {
	if r.sweep {
		r.err = e.sweep(r)
		return
	}
	done, err := e.checkToken(r)
	if done || err != nil {
		r.ops, r.err = nil, err // Done before: nothing changes now.
		return
	}
	if r.err = e.checkConditions(r); r.err != nil {
		return
	}
	if !e.room && r.writes() {
		r.err = store.ErrFull
		return
	}
	for i := range r.ops {
		if err := e.stage(&r.ops[i]); err != nil {
			r.err = err
			return
		}
	}
	if r.token != "" {
		digest, expires, _ := parseTokenRecord(r.tokenRecord)
		r.err = e.put(r.token, r.tokenRecord, stored{present: true, header: header{expires: expires}, digest: digest})
	}
}

func (r *request) writes() bool {
	for i := range r.ops {
		if r.ops[i].kind != store.Check {
			return true
		}
	}
	return r.token != ""
}

// checkToken reports whether the same commit was made before under the same token.
func (e *evaluator) checkToken(r *request) (done bool, err error) {
	if r.token == "" {
		return false, nil
	}
	known, err := e.lookup(r.token)
	if err != nil || !known.present || known.expired(e.now) {
		return false, err
	}
	if known.digest != [32]byte(r.tokenRecord[:32]) {
		return false, fmt.Errorf("%w: the token names another commit", store.ErrInvalid)
	}
	return true, nil
}

func (e *evaluator) checkConditions(r *request) error {
	var refusal *store.ConditionError
	for i := range r.ops {
		op := &r.ops[i]
		if op.cond == store.Always() {
			continue
		}
		s, err := e.lookup(op.key)
		if err != nil {
			return err
		}
		if s.expired(e.now) {
			s = stored{}
		}
		if op.cond.Holds(s.present, s.version) {
			continue
		}
		if refusal == nil {
			refusal = &store.ConditionError{Failed: make([]bool, len(r.ops)), Stored: make([]ident.Version, len(r.ops))}
		}
		refusal.Failed[i], refusal.Stored[i] = true, s.version
	}
	if refusal != nil {
		return refusal
	}
	return nil
}

// lookup is what the group's batch, or else the engine, has under an engine key.
func (e *evaluator) lookup(key string) (stored, error) {
	if s, ok := e.overlay[key]; ok {
		return s, nil
	}
	e.scratch = append(e.scratch[:0], key...)
	rec, closer, err := e.db.engine.Get(e.scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return stored{}, nil
	}
	if err != nil {
		return stored{}, fmt.Errorf("reading an item for a condition: %w", err)
	}
	s := stored{present: true}
	if key[0] == spaceToken {
		s.digest, s.expires, err = parseTokenRecord(rec)
	} else {
		s.header, _, err = parseHeader(rec)
	}
	if err := errors.Join(err, closer.Close()); err != nil {
		return stored{}, fmt.Errorf("reading an item for a condition: %w", err)
	}
	return s, nil
}

// stage puts an operation into the group's batch.
func (e *evaluator) stage(op *encodedOp) error {
	switch op.kind {
	case store.Put:
		e.touch(op)
		return e.put(op.key, op.record, stored{present: true, header: op.header})
	case store.Delete:
		e.touch(op)
		return e.delete(op.key)
	default:
		return nil
	}
}

// touch makes readers of the item and of its partition wait for the group.
func (e *evaluator) touch(op *encodedOp) {
	e.open()
	e.db.unsynced.mark(e.group.number, op.key)
	e.db.unsynced.mark(e.group.number, op.key[:op.partition])
}

// open begins the group's batch.
func (e *evaluator) open() {
	if e.group.batch == nil {
		e.group.batch = e.db.engine.NewBatchWithSize(groupBytes(e.group.requests) + 64)
		e.db.unsynced.begin(e.group.number)
	}
}

func (e *evaluator) put(key string, record []byte, s stored) error {
	e.open()
	op := e.group.batch.SetDeferred(len(key), len(record))
	copy(op.Key, key)
	copy(op.Value, record)
	if len(e.group.requests) > 1 {
		e.overlay[key] = s
	}
	if err := op.Finish(); err != nil {
		return fmt.Errorf("adding to a batch: %w", err)
	}
	return nil
}

func (e *evaluator) delete(key string) error {
	e.open()
	op := e.group.batch.DeleteDeferred(len(key))
	copy(op.Key, key)
	if len(e.group.requests) > 1 {
		e.overlay[key] = stored{}
	}
	if err := op.Finish(); err != nil {
		return fmt.Errorf("adding to a batch: %w", err)
	}
	return nil
}

// sweep deletes what is expired now of what was expired when the sweeper passed.
func (e *evaluator) sweep(r *request) error {
	if !e.room {
		return store.ErrFull
	}
	removed := r.ops[:0]
	for i := range r.ops {
		op := &r.ops[i]
		s, err := e.lookup(op.key)
		if err != nil {
			return err
		}
		if !s.present || !s.expired(e.now) {
			continue
		}
		if err := e.stage(op); err != nil {
			return err
		}
		removed = append(removed, *op)
	}
	r.ops = removed
	return nil
}
