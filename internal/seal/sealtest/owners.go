package sealtest

import (
	"context"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
)

// testTwoOwners interleaves, effect by effect and in drawn orders, the home of epoch 1, two processes of it, and the standby of
// epoch 2, all making or rotating the key of one tenant. After each commit, whatever any region seals must open
// in both regions that survive the home; in the end the owner settles it for all.
func testTwoOwners(t *testing.T, f Fixture) {
	t.Helper()
	w := newWorld(t, f).remember()
	rapid.Check(t, func(rt *rapid.T) {
		tenant := w.tenant()
		begun := rapid.Bool().Draw(rt, "begun")
		if begun {
			if err := w.start(home).Provision(t.Context(), tenant, 1, lawful()); err != nil {
				rt.Fatalf("Provision: %v", err)
			}
		}
		heirs := rapid.SampledFrom([][]ident.RegionID{lawful(), survivors()}).Draw(rt, "heirs")
		actors := []func(context.Context) error{
			act(w, home, tenant, 1, lawful(), begun),
			act(w, home, tenant, 1, lawful(), begun),
			act(w, standby, tenant, 2, heirs, begun),
		}
		checked := w.commits.Load()
		interleave(t.Context(), rt, actors, func() {
			if now := w.commits.Load(); now != checked {
				checkSurvivors(rt, t.Context(), w, tenant)
				checked = now
			}
		})
		if err := w.start(standby).Provision(t.Context(), tenant, 2, lawful()); err != nil {
			rt.Fatalf("the owner cannot settle: %v", err)
		}
		for _, from := range lawful() {
			v := sealValue(rt, t.Context(), w.start(from), tenant)
			for _, to := range lawful() {
				wantOpens(rt, t.Context(), w.start(to), v)
			}
		}
	})
}

// act is one process's part: it gives the tenant a key, or rotates it when it has one. It may fail; it must do no harm.
func act(w *world, id ident.RegionID, tenant ident.TenantID, epoch ident.Epoch, regions []ident.RegionID, rotate bool) func(context.Context) error {
	ring := w.start(id)
	return func(ctx context.Context) error {
		if rotate {
			_, err := ring.Rotate(ctx, tenant, epoch, regions)
			return err
		}
		return ring.Provision(ctx, tenant, epoch, regions)
	}
}

func checkSurvivors(t fataler, ctx context.Context, w *world, tenant ident.TenantID) { //nolint:revive // t first, as in package testing
	t.Helper()
	rings := make(map[ident.RegionID]*seal.Keyring, len(lawful()))
	for _, id := range lawful() {
		rings[id] = w.start(id)
	}
	for from, ring := range rings {
		v, err := trySeal(ctx, ring, tenant)
		if err != nil {
			continue
		}
		for _, to := range survivors() {
			if _, err := rings[to].Open(ctx, v.bind, v.sealed); err != nil {
				t.Fatalf("%s sealed what %s cannot open: %v", from, to, err)
			}
		}
	}
}

// interleave runs actors so that one at a time has its next effect; which one is drawn. check runs after each effect.
func interleave(ctx context.Context, rt *rapid.T, actors []func(context.Context) error, check func()) {
	type turn struct{ granted, done chan struct{} }
	var (
		group   sync.WaitGroup
		waiting = make([]chan turn, len(actors)) // an actor asks for its next effect; closed when it has ended
	)
	for i, actor := range actors {
		waiting[i] = make(chan turn)
		hooked := withHook(ctx, func(do func() error) error {
			next := turn{make(chan struct{}), make(chan struct{})}
			waiting[i] <- next
			<-next.granted
			defer close(next.done)
			return do()
		})
		group.Go(func() {
			defer close(waiting[i])
			_ = actor(hooked) // May fail: another owner may have been faster.
		})
	}
	defer group.Wait()
	asked := make([]turn, 0, len(actors))
	owner := make([]int, 0, len(actors))
	ask := func(i int) {
		if next, ok := <-waiting[i]; ok {
			asked, owner = append(asked, next), append(owner, i)
		}
	}
	for i := range actors {
		ask(i)
	}
	// Should the check or a draw end this goroutine, the actors go on by themselves and end.
	defer func() {
		for len(asked) > 0 {
			next, i := asked[0], owner[0]
			asked, owner = asked[1:], owner[1:]
			close(next.granted)
			<-next.done
			ask(i)
		}
	}()
	for len(asked) > 0 {
		n := rapid.IntRange(0, len(asked)-1).Draw(rt, "next")
		next, i := asked[n], owner[n]
		asked = append(asked[:n], asked[n+1:]...)
		owner = append(owner[:n], owner[n+1:]...)
		close(next.granted)
		<-next.done
		ask(i)
		check()
	}
}
