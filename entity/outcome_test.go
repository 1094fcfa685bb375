package entity_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func unreliable(t *testing.T, attempts int) (*world, *flaky) {
	t.Helper()
	f := &flaky{}
	return newWorld(t, openMemory(t), func(s store.Store) store.Store { f.Store = s; return f },
		entity.Tuning{CommitAttempts: attempts, RetryPause: time.Nanosecond}), f
}

// After an unknown outcome the same batch is sent again under the same name until the store says what became of it.
func TestUnknownOutcomesAreMadeKnown(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string][]fate{
		"had no effect":           {lostBefore},
		"had effect":              {lostAfter},
		"lost again and again":    {lostBefore, lostBefore, lostAfter, lostAfter, lostAfter},
		"effect first, then none": {lostAfter, lostBefore, lostBefore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, f := unreliable(t, 12)
			w.mustCreate(as(acme), user("first"))
			before := len(f.seen())
			f.plan = slices.Clone(plan)
			ctx, c := keyed(acme, "k", "r")
			made := w.mustCreate(ctx, user("ada"))
			tokens := f.seen()[before:]
			if len(tokens) != len(plan)+1 || slices.ContainsFunc(tokens, func(s string) bool { return s == "" || s != tokens[0] }) {
				t.Errorf("tokens %q", tokens)
			}
			if got, err := w.users.Get(as(acme), made.GetId()); err != nil || got.GetEtag() != made.GetEtag() {
				t.Errorf("%v, %v", got, err)
			}
			rows := read(t, w.table, acme)
			rows.audit(t)
			if len(rows.entities) != 2 || c.Committed == nil {
				t.Errorf("%d entities, %+v", len(rows.entities), c.Committed)
			}
		})
	}
}

// When it stays unknown the callers are told so, and the lane goes on from what is stored, with or without the batch.
func TestOutcomesThatStayUnknown(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string][]fate{
		"had no effect": {lostBefore, lostBefore, lostBefore},
		"had effect":    {lostAfter, lostBefore, lostBefore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, f := unreliable(t, 3)
			users := w.createInLane(2)
			f.plan = slices.Clone(plan)
			ctx, c := keyed(acme, "k", "r")
			change := func(u *profilev1.User) { u.Locale = "en-GB" }
			_, err := w.update(ctx, users[0].GetId(), "", change)
			wantReason(t, err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN)
			// The interceptor reads the key's record before it answers that, so a keyed call is told what was.
			_, found, err := w.records.Replay(ctx, c)
			if err != nil || found != (plan[0] == lostAfter) {
				t.Errorf("replay: %v, %v", found, err)
			}
			if _, err := w.update(as(acme), users[1].GetId(), "", change); err != nil {
				t.Errorf("the next write: %v", err)
			}
			read(t, w.table, acme).audit(t)
		})
	}
}

// However commits and their answers are lost, what was acknowledged is there and nothing is there twice or by halves.
func TestNothingIsLostOrDoubledByLostAnswers(t *testing.T) {
	t.Parallel()
	w, f := unreliable(t, 4)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		tenant := ident.TenantID(fmt.Sprint("tenant-", run%8)) // few, since a tenant's keys take long to make
		fates := rapid.SliceOfN(rapid.SampledFrom([]fate{fine, fine, lostBefore, lostAfter}), 0, 40).Draw(rt, "fates")
		f.plan = fates
		var group sync.WaitGroup
		var mu sync.Mutex
		acknowledged := map[string]bool{}
		for i := range rapid.IntRange(1, 16).Draw(rt, "writers") {
			group.Go(func() {
				name := fmt.Sprint(run, "-", i)
				ctx, c := keyed(tenant, name, "r")
				made, err := answered(ctx, w.records, c, &profilev1.User{}, w.creating(user(name)))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					acknowledged[made.GetId()] = true
				} else if !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
					t.Errorf("create: %v", err)
				}
			})
		}
		group.Wait()
		rows := read(rt, w.table, tenant)
		rows.audit(rt)
		for id := range acknowledged {
			if _, ok := rows.entities[id]; !ok {
				rt.Fatalf("%s was acknowledged and is not there", id)
			}
		}
	})
}
