package entity_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/store"
)

func (w *world) creating(u *profilev1.User) func(context.Context) (*profilev1.User, error) {
	return func(ctx context.Context) (*profilev1.User, error) { return w.create(ctx, u) }
}

// Of equal calls at the same time one commits, and all get its answer and its place in the tenant's writes.
func TestEqualCallsMakeOneCommit(t *testing.T) {
	t.Parallel()
	w := memory(t)
	const calls = 64
	answers, made := make([]*profilev1.User, calls), make([]*call.Call, calls)
	var group sync.WaitGroup
	begin := make(chan struct{})
	for i := range calls {
		group.Go(func() {
			ctx, c := keyed(acme, "key", "request")
			<-begin
			// The addresses differ, so that it is the key alone that makes them one.
			given := user(fmt.Sprint("ada", i))
			var err error
			if answers[i], err = answered(ctx, w.records, c, &profilev1.User{}, w.creating(given)); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			made[i] = c
		})
	}
	close(begin)
	group.Wait()
	replayed := 0
	for i := range calls {
		if diff := cmp.Diff(answers[0], answers[i], protocmp.Transform()); diff != "" {
			t.Errorf("answers 0 and %d differ:\n%s", i, diff)
		}
		if diff := cmp.Diff(made[0].Committed, made[i].Committed); diff != "" || made[i].Committed == nil {
			t.Errorf("writes 0 and %d differ:\n%s", i, diff)
		}
		if made[i].Replayed {
			replayed++
		}
	}
	rows := read(t, w.table, acme)
	rows.audit(t)
	if len(rows.entities) != 1 || len(rows.records) != 1 || replayed != calls-1 {
		t.Errorf("%d entities, %d records, %d replayed", len(rows.entities), len(rows.records), replayed)
	}
}

func TestAKeyOfAnotherRequest(t *testing.T) {
	t.Parallel()
	w := memory(t)
	ctx, c := keyed(acme, "key", "request")
	if _, err := answered(ctx, w.records, c, &profilev1.User{}, w.creating(user("ada"))); err != nil {
		t.Fatal(err)
	}
	ctx, c = keyed(acme, "key", "another request")
	_, err := answered(ctx, w.records, c, &profilev1.User{}, w.creating(user("bob")))
	wantReason(t, err, errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH)
	if c.Replayed || c.Committed != nil {
		t.Errorf("a refused call is marked %+v", c)
	}
	// The same key of another tenant is another key.
	ctx, c = keyed(other, "key", "another request")
	if _, err := answered(ctx, w.records, c, &profilev1.User{}, w.creating(user("bob"))); err != nil || c.Replayed {
		t.Errorf("another tenant's: %v", err)
	}
}

// A failure is not stored: the call can be repeated under its key.
func TestFailuresAreNotStored(t *testing.T) {
	t.Parallel()
	w := memory(t)
	first := w.mustCreate(as(acme), user("ada"))
	ctx, c := keyed(acme, "key", "request")
	_, err := answered(ctx, w.records, c, &profilev1.User{}, w.creating(user("ada")))
	wantReason(t, err, errorsv1.Reason_REASON_ALREADY_EXISTS)
	if err := w.remove(as(acme), first.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := answered(ctx, w.records, c, &profilev1.User{}, w.creating(user("ada"))); err != nil || c.Replayed {
		t.Errorf("repeated: %v", err)
	}
}

// Updates and deletes replay as well, also when the entity is no more.
func TestUpdateAndDeleteReplay(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	change := func(ctx context.Context) (*profilev1.User, error) {
		return w.update(ctx, made.GetId(), made.GetEtag(), func(u *profilev1.User) { u.Locale = "en-GB" })
	}
	remove := func(ctx context.Context) (*profilev1.DeleteUserResponse, error) {
		return entity.Delete(ctx, w.users, made.GetId(), "", func(*profilev1.User) *profilev1.DeleteUserResponse {
			return &profilev1.DeleteUserResponse{}
		})
	}
	var changed [2]*profilev1.User
	for i := range changed {
		ctx, c := keyed(acme, "change", "r")
		var err error
		if changed[i], err = answered(ctx, w.records, c, &profilev1.User{}, change); err != nil || c.Replayed != (i == 1) {
			t.Fatalf("change %d: %v, %+v", i, err, c)
		}
	}
	if diff := cmp.Diff(changed[0], changed[1], protocmp.Transform()); diff != "" {
		t.Errorf("answers differ:\n%s", diff)
	}
	for i := range 2 {
		ctx, c := keyed(acme, "remove", "r")
		if _, err := answered(ctx, w.records, c, &profilev1.DeleteUserResponse{}, remove); err != nil || c.Replayed != (i == 1) {
			t.Fatalf("delete %d: %v, %+v", i, err, c)
		}
	}
	read(t, w.table, acme).audit(t)
}

// A stored answer is sealed, and bound to its key: copied to another record it does not open.
func TestStoredAnswersAreSealed(t *testing.T) {
	t.Parallel()
	w := memory(t)
	for _, key := range []string{"a", "b"} {
		ctx, _ := keyed(acme, key, "r")
		w.mustCreate(ctx, user(key))
	}
	ctx, c := keyed(acme, "a", "r")
	_, from := keyed(acme, "b", "r")
	w.swapAnswers(c.Operation.KeyHash, from.Operation.KeyHash)
	if answer, found, err := w.records.Replay(ctx, c); err == nil || found || answer != nil || c.Replayed {
		t.Errorf("another record's answer was opened: %v, %v", found, err)
	}
	for _, item := range read(t, w.table, acme).items {
		for _, canary := range []string{"Given", "Family", "@example.org", "note of"} {
			if bytes.Contains(item.Value, []byte(canary)) || strings.Contains(item.Key.Sort, canary) {
				t.Errorf("%q is in %q", canary, item.Key)
			}
		}
	}
}

// swapAnswers puts the record of one key in the place of another's.
func (w *world) swapAnswers(into, from [32]byte) {
	w.tb.Helper()
	item, err := w.table.Get(w.tb.Context(), idempotency.Key(acme, from))
	if err != nil {
		w.tb.Fatal(err)
	}
	item.Key = idempotency.Key(acme, into)
	if err := w.table.Commit(w.tb.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item}}}); err != nil {
		w.tb.Fatal(err)
	}
}
