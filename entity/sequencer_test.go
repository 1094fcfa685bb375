package entity_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/store"
)

// gated is a world whose commits can be held back.
func gated(t *testing.T, tuning entity.Tuning) (*world, *gate) {
	t.Helper()
	g := &gate{}
	return newWorld(t, openMemory(t), func(s store.Store) store.Store { g.Store = s; return g }, tuning), g
}

// Mutations that wait while a commit is under way go into the next one together.
func TestWaitingMutationsAreBatched(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{})
	users := w.createInLane(31)
	before := g.entered.Load()
	open := g.close()
	var group sync.WaitGroup
	for i, u := range users {
		group.Go(func() {
			if _, err := w.update(as(acme), u.GetId(), u.GetEtag(), func(u *profilev1.User) { u.Locale = "en-GB" }); err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	until(func() bool { return w.engine.Waiting(acme, busyLane) == len(users) })
	open()
	group.Wait()
	if n := g.entered.Load() - before; n > 3 {
		t.Errorf("%d mutations took %d commits", len(users), n)
	}
	read(t, w.table, acme).audit(t)
	until(func() bool { live, _ := w.engine.Lanes(); return live == 0 })
}

// A mutation whose own condition fails is taken out, and the batch goes on without it.
func TestAFailingMutationDoesNotHarmItsBatch(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{})
	users := w.createInLane(8)
	taken := w.mustCreate(as(acme), user("taken"))
	open := g.close()
	var group sync.WaitGroup
	errs := make([]error, len(users))
	for i, u := range users {
		group.Go(func() {
			_, errs[i] = w.update(as(acme), u.GetId(), "", func(u *profilev1.User) {
				u.Locale = "en-GB"
				if i%2 == 1 {
					u.Email = taken.GetEmail()
				}
			})
		})
	}
	until(func() bool { return w.engine.Waiting(acme, busyLane) == len(users) })
	open()
	group.Wait()
	for i, err := range errs {
		if i%2 == 0 && err != nil {
			t.Errorf("mutation %d fell with its batch: %v", i, err)
		}
		if i%2 == 1 && !fault.Is(err, errorsv1.Reason_REASON_ALREADY_EXISTS) {
			t.Errorf("mutation %d: %v", i, err)
		}
	}
	read(t, w.table, acme).audit(t)
}

// Changes of one entity collide: without an etag each is applied in the end, with one etag exactly one is.
func TestCollidingMutations(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	const writers = 24
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.RegulatedNote += "+" }); err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	group.Wait()
	got, err := w.users.Get(as(acme), made.GetId())
	if err != nil || strings.Count(got.GetRegulatedNote(), "+") != writers {
		t.Errorf("%q, %v: changes are lost", got.GetRegulatedNote(), err)
	}
	var won, lost atomic.Int64
	for range writers {
		group.Go(func() {
			_, err := w.update(as(acme), made.GetId(), got.GetEtag(), func(u *profilev1.User) { u.Handle = "won" })
			switch {
			case err == nil:
				won.Add(1)
			case fault.Is(err, errorsv1.Reason_REASON_ETAG_MISMATCH):
				lost.Add(1)
			default:
				t.Errorf("update: %v", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || lost.Load() != writers-1 {
		t.Errorf("%d won and %d lost", won.Load(), lost.Load())
	}
	read(t, w.table, acme).audit(t)
}

// The etag is checked by the commit, not only by the read before it: here the entity changes in between.
func TestEtagIsCheckedByTheCommit(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{})
	made := w.mustCreate(as(acme), user("ada"))
	open := g.close()
	result := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := w.update(as(acme), made.GetId(), made.GetEtag(), func(u *profilev1.User) { u.Handle = "won" })
			result <- err
		}()
	}
	until(func() bool { return w.engine.Waiting(acme, entity.LaneOf(made.GetId())) == 2 }) // both have read and passed
	open()
	first, second := <-result, <-result
	if first != nil {
		first, second = second, first
	}
	if first != nil || !fault.Is(second, errorsv1.Reason_REASON_ETAG_MISMATCH) {
		t.Errorf("%v and %v", first, second)
	}
}

func TestUniquenessRaces(t *testing.T) {
	t.Parallel()
	w := memory(t)
	for round := range 4 {
		var group sync.WaitGroup
		var won, lost atomic.Int64
		for range 16 {
			group.Go(func() {
				_, err := w.create(as(acme), user(fmt.Sprint("round", round)))
				switch {
				case err == nil:
					won.Add(1)
				case fault.Is(err, errorsv1.Reason_REASON_ALREADY_EXISTS):
					lost.Add(1)
				default:
					t.Errorf("create: %v", err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 || lost.Load() != 15 {
			t.Errorf("%d have the address, %d were refused", won.Load(), lost.Load())
		}
	}
	read(t, w.table, acme).audit(t)
}

// Two processes that share a table share its numbers.
func TestTwoProcessesNumberOneLane(t *testing.T) {
	t.Parallel()
	w := memory(t)
	_, second := newEngine(t, w.table, w.ring, entity.Tuning{})
	var group sync.WaitGroup
	const each = 40
	for i := range each {
		for process, users := range map[string]*entity.Repository[*profilev1.User]{"a": w.users, "b": second} {
			group.Go(func() {
				if _, err := entity.Create(as(acme), users, user(fmt.Sprint(process, i)), itself); err != nil {
					t.Errorf("process %s: %v", process, err)
				}
			})
		}
	}
	group.Wait()
	rows := read(t, w.table, acme)
	rows.audit(t)
	if len(rows.entities) != 2*each {
		t.Errorf("%d entities of %d", len(rows.entities), 2*each)
	}
}

// A caller who goes away takes back a mutation that is not under way, and harms nobody when it is.
func TestCancellation(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{})
	users := w.createInLane(4)
	held := g.entered.Load()
	open := g.close()
	outcomes := make([]chan error, len(users))
	cancels := make([]context.CancelFunc, len(users))
	begin := func(i int) {
		ctx, cancel := context.WithCancel(as(acme))
		outcomes[i], cancels[i] = make(chan error, 1), cancel
		go func() {
			_, err := w.update(ctx, users[i].GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" })
			outcomes[i] <- err
		}()
		until(func() bool { return w.engine.Waiting(acme, busyLane) == i+1 })
	}
	begin(0)
	until(func() bool { return g.entered.Load() == held+1 }) // the first is in a commit, alone
	for i := 1; i < len(users); i++ {
		begin(i)
	}
	cancels[0]() // during its commit
	wantReason(t, <-outcomes[0], errorsv1.Reason_REASON_OUTCOME_UNKNOWN)
	cancels[1]() // before
	wantReason(t, <-outcomes[1], errorsv1.Reason_REASON_DEADLINE_EXCEEDED)
	open()
	for i := 2; i < len(users); i++ {
		if err := <-outcomes[i]; err != nil {
			t.Errorf("mutation %d: %v", i, err)
		}
		cancels[i]()
	}
	for i, want := range []string{"en-GB", "de-DE", "en-GB", "en-GB"} {
		if got, err := w.users.Get(as(acme), users[i].GetId()); err != nil || got.GetLocale() != want {
			t.Errorf("user %d has locale %q (%v), want %q", i, got.GetLocale(), err, want)
		}
	}
	read(t, w.table, acme).audit(t)
}

func TestAFullLaneRefuses(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{MaxWaiting: 3})
	users := w.createInLane(4)
	open := g.close()
	var group sync.WaitGroup
	for _, u := range users[:3] {
		group.Go(func() {
			if _, err := w.update(as(acme), u.GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" }); err != nil {
				t.Error(err)
			}
		})
	}
	until(func() bool { return w.engine.Waiting(acme, busyLane) == 3 })
	_, err := w.update(as(acme), users[3].GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" })
	if f := wantFault(t, err, errorsv1.Reason_REASON_OVERLOADED); f.RetryAfter <= 0 {
		t.Error("it does not say when to come back")
	}
	open()
	group.Wait()
	if _, err := w.update(as(acme), users[3].GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Memory is bounded by what waits, and a lane that is not remembered reads its counter again.
func TestIdleLanesAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openMemory(t), nil, entity.Tuning{IdleLanes: 3})
	for i := range 40 {
		w.mustCreate(as(acme), user(strconv.Itoa(i)))
	}
	until(func() bool { live, _ := w.engine.Lanes(); return live == 0 })
	if _, idle := w.engine.Lanes(); idle > 3 {
		t.Errorf("%d lanes are remembered", idle)
	}
	read(t, w.table, acme).audit(t)
}

func TestClose(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{})
	made := w.mustCreate(as(acme), user("ada"))
	open := g.close()
	outcome := make(chan error, 1)
	go func() {
		_, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" })
		outcome <- err
	}()
	lane := entity.LaneOf(made.GetId())
	until(func() bool { return w.engine.Waiting(acme, lane) == 1 })
	closed := make(chan error, 1)
	go func() { closed <- w.engine.Close(context.Background()) }()
	until(w.engine.Closed)
	_, err := w.create(as(acme), user("late"))
	wantReason(t, err, errorsv1.Reason_REASON_REGION_DRAINING)
	open()
	if err := <-outcome; err != nil {
		t.Errorf("a mutation that was accepted: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("closing: %v", err)
	}
}

func TestCloseOutOfPatience(t *testing.T) {
	t.Parallel()
	w, g := gated(t, entity.Tuning{})
	made := w.mustCreate(as(acme), user("ada"))
	defer g.close()()
	outcome := make(chan error, 1)
	go func() {
		_, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" })
		outcome <- err
	}()
	until(func() bool { return w.engine.Waiting(acme, entity.LaneOf(made.GetId())) == 1 })
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.engine.Close(ended); err == nil {
		t.Error("it says that all have an outcome")
	}
	wantReason(t, <-outcome, errorsv1.Reason_REASON_OUTCOME_UNKNOWN)
}

// A product's answer that panics ends its own call and no other.
func TestAPanickingAnswer(t *testing.T) {
	t.Parallel()
	w := memory(t)
	ctx, c := keyed(acme, "k", "r")
	_, err := entity.Create(ctx, w.users, user("ada"), func(*profilev1.User) *profilev1.User { panic("canary") })
	if err == nil || strings.Contains(err.Error(), "canary") || c.Committed != nil {
		t.Errorf("%v, %+v", err, c.Committed)
	}
	if rows := read(t, w.table, acme); len(rows.items) != 0 {
		t.Errorf("%d rows were written", len(rows.items))
	}
	w.mustCreate(as(acme), user("ada"))
	read(t, w.table, acme).audit(t)
}

func TestErrorsOfTheStore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want errorsv1.Reason
	}{
		{store.ErrFull, errorsv1.Reason_REASON_STORAGE_FULL},
		{store.ErrTooLarge, errorsv1.Reason_REASON_TOO_LARGE},
		{store.ErrInvalid, errorsv1.Reason_REASON_UNSPECIFIED},
		{store.ErrClosed, errorsv1.Reason_REASON_OUTCOME_UNKNOWN},
		{errLost, errorsv1.Reason_REASON_OUTCOME_UNKNOWN},
	} {
		w := newWorld(t, openMemory(t), func(s store.Store) store.Store { return &failing{Store: s, err: test.err} },
			entity.Tuning{CommitAttempts: 3, RetryPause: time.Nanosecond})
		_, err := w.create(as(acme), user("ada"))
		if err == nil || fault.ReasonOf(err) != test.want {
			t.Errorf("%v becomes %v", test.err, err)
		}
	}
}
