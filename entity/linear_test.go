package entity_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/store"
)

// What a client did to the one entity, and what it saw. An etag makes a write conditional.
type step struct {
	write, etag string // an empty write is a read
}

type seen struct {
	value, etag string
	mismatch    bool // refused for its etag
	unknown     bool // the outcome is not known
}

type register struct{ value, etag string }

// An entity is a register with a version: a write without an etag always takes effect, one with an etag if it is the present one.
var registerModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{register{value: "init"}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(register), input.(step), output.(seen)
		holds := in.etag == "" || in.etag == s.etag
		switch {
		case in.write == "":
			if out.value == s.value && (s.etag == "" || out.etag == s.etag) {
				return []any{register{value: s.value, etag: out.etag}}
			}
			return nil
		case out.unknown:
			// It may have taken effect; its etag is then whatever is read next. In this test it has done so before it returned, if
			// at all: a commit whose answer is lost is not on its way any more.
			if holds {
				return []any{s, register{value: in.write}}
			}
			return []any{s}
		case out.mismatch:
			if !holds {
				return []any{s}
			}
			return nil
		case holds:
			return []any{register{value: in.write, etag: out.etag}}
		default:
			return nil
		}
	},
}

func TestAnEntityIsLinearizable(t *testing.T) {
	t.Parallel()
	f := &flaky{}
	w := newWorld(t, openMemory(t), func(s store.Store) store.Store { f.Store = s; return f },
		entity.Tuning{CommitAttempts: 2, RetryPause: time.Nanosecond})
	_, second := newEngine(t, f, w.ring, entity.Tuning{CommitAttempts: 2, RetryPause: time.Nanosecond})
	first := user("ada")
	first.RegulatedNote = "init"
	made := w.mustCreate(as(acme), first)
	for i := range 200 {
		f.plan = append(f.plan, []fate{fine, fine, lostBefore, lostAfter, fine, lostBefore, lostBefore, fine, lostAfter, lostAfter}[i%10])
	}
	const clients, steps = 5, 14
	var mu sync.Mutex
	var history []porcupine.Operation
	var group sync.WaitGroup
	begin := time.Now()
	for client := range clients {
		users := []*entity.Repository[*profilev1.User]{w.users, second}[client%2]
		group.Go(func() {
			etag := ""
			for n := range steps {
				in := step{write: fmt.Sprint(client, "-", n)}
				switch n % 3 {
				case 0:
					in = step{}
				case 2:
					in.etag = etag
				}
				called := time.Since(begin).Nanoseconds()
				out := perform(t, users, made.GetId(), in)
				returned := time.Since(begin).Nanoseconds()
				etag = out.etag
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: called, Return: returned})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if !porcupine.CheckOperations(registerModel.ToModel(), history) {
		t.Error("no order of the writes explains what was read")
	}
	read(t, w.table, acme).audit(t)
}

func perform(t *testing.T, users *entity.Repository[*profilev1.User], id string, in step) seen {
	t.Helper()
	var u *profilev1.User
	var err error
	if in.write == "" {
		u, err = users.Get(as(acme), id)
	} else {
		u, err = entity.Update(as(acme), users, id, entity.Change[*profilev1.User]{Etag: in.etag, Apply: func(u *profilev1.User) error {
			u.RegulatedNote = in.write
			return nil
		}}, itself)
	}
	switch {
	case err == nil:
		return seen{value: u.GetRegulatedNote(), etag: u.GetEtag()}
	case fault.Is(err, errorsv1.Reason_REASON_ETAG_MISMATCH):
		return seen{mismatch: true}
	case fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN):
		return seen{unknown: true}
	default:
		t.Errorf("%+v: %v", in, err)
		return seen{unknown: true}
	}
}
