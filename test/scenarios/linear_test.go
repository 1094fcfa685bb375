package scenarios

import (
	"github.com/anishathalye/porcupine"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// observed is what was read of an entity at its home; empty: that it is not there.
type observed struct {
	step   int
	tenant ident.TenantID
	id     string
	handle string
}

// linear is an operation on one entity, for the checker.
type linear struct {
	kind   kind
	handle string
	only   bool
	was    ident.Version
	// version is which it made; failure why it did not.
	version ident.Version
	failure errorsv1.Reason
}

// register is an entity's state, for the checker.
type register struct {
	handle  string
	version ident.Version
}

// entityModel is an entity at its home: a register with a version, that is created, changed and deleted.
var entityModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		s, in := state.(register), input.(linear)
		there := s.handle != ""
		mismatch := in.only && there && s.version != in.was
		switch {
		case in.kind == read:
			return s.handle == in.handle, s
		case in.failure == errorsv1.Reason_REASON_NOT_FOUND:
			return !there, s
		case in.failure == errorsv1.Reason_REASON_ETAG_MISMATCH:
			return mismatch, s
		case in.kind == create:
			return !there && s.version == ident.Version{}, register{in.handle, in.version}
		case in.kind == update:
			return there && !mismatch && s.version.Compare(in.version) < 0, register{in.handle, in.version}
		default:
			return there && !mismatch && s.version.Compare(in.version) < 0, register{"", in.version}
		}
	},
}

// checkLinear checks that what clients did to each entity at its home, and were told, has an order that explains it.
func (w *world) checkLinear() {
	histories := make(map[string][]porcupine.Operation)
	for _, o := range w.pending {
		times, version := w.took(o)
		id := o.id
		if o.kind == create {
			id = ""
			for each, facts := range w.truth.facts[o.tenant] {
				if byHandle(facts, o.handle) == 0 {
					id = each
				}
			}
		}
		end := o.returned
		if !o.over { // It was never answered; whoever read after its commit has seen it.
			end = w.committedAt(o)
		}
		says := o.refused == errorsv1.Reason_REASON_NOT_FOUND || o.refused == errorsv1.Reason_REASON_ETAG_MISMATCH
		if id == "" || times == 0 && !says {
			continue
		}
		histories[id] = append(histories[id], porcupine.Operation{
			ClientId: o.n, Call: int64(o.called), Return: int64(end),
			Input: linear{kind: o.kind, handle: o.handle, only: o.only.etag != "", was: o.only.version, version: version, failure: o.refused},
		})
	}
	for i, r := range w.reads {
		histories[r.id] = append(histories[r.id], porcupine.Operation{
			ClientId: w.ops + 1 + i, Call: int64(r.step), Return: int64(r.step), Input: linear{kind: read, handle: r.handle},
		})
	}
	for id, history := range histories {
		if !porcupine.CheckOperations(entityModel, history) {
			w.failf("no order of the writes explains what was answered of %s: %+v", short(id), history)
		}
	}
}
