package entity_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/domicile-api/domicile/entity"
	"github.com/domicile-api/domicile/internal/store"
)

// tiring fails every other commit, so that a purge is cut short again and again.
type tiring struct {
	store.Store

	n int
}

func (s *tiring) Commit(ctx context.Context, c store.Commit) error {
	if s.n++; s.n%2 == 0 {
		return errLost
	}
	return s.Store.Commit(ctx, c)
}

func TestPurge(t *testing.T) {
	t.Parallel()
	w := memory(t)
	for i := range 150 {
		ctx, _ := keyed(acme, strconv.Itoa(i), "r")
		made := w.mustCreate(ctx, user(strconv.Itoa(i)))
		if i%5 == 0 {
			if err := w.remove(as(acme), made.GetId(), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := w.mustCreate(as(other), user("ada"))
	w.start(func(s store.Store) store.Store { return &tiring{Store: s} }, entity.Tuning{})
	attempts := 1
	for ; w.engine.Purge(t.Context(), acme) != nil; attempts++ {
		if attempts > 100 {
			t.Fatal("it does not come to an end")
		}
	}
	if attempts < 2 {
		t.Error("it was not cut short")
	}
	if n := len(read(t, w.table, acme).items); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if _, err := w.users.Get(as(other), kept.GetId()); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	// A tenant that comes back under the name begins anew, also for a process that remembers its lanes.
	w.start(nil, entity.Tuning{})
	made := w.mustCreate(as(acme), user("ada"))
	if err := w.engine.Purge(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.Get(as(acme), made.GetId()); err == nil {
		t.Error("a purged user was read")
	}
	w.mustCreate(as(acme), user("ada"))
	read(t, w.table, acme).audit(t)
}
