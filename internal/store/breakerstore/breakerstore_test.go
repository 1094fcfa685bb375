package breakerstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/breakerstore"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/storetest"
)

// table answers what it is told to, and counts.
type table struct {
	store.Store

	err   error
	calls int
}

func (t *table) Get(context.Context, store.Key) (store.Item, error) {
	t.calls++
	return store.Item{}, t.err
}

func (t *table) Commit(context.Context, store.Commit) error {
	t.calls++
	return t.err
}

func TestBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &table{err: fmt.Errorf("no answer: %w", store.ErrUnavailable)}
		s := breakerstore.New(inner, "regional", slog.New(slog.DiscardHandler))
		get := func() error {
			_, err := s.Get(t.Context(), store.Key{Partition: "p"})
			return err
		}
		for range 20 {
			if err := get(); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("%v", err)
			}
		}
		if inner.calls != 5 {
			t.Errorf("the table was asked %d times, want 5", inner.calls)
		}
		if err := s.Commit(t.Context(), store.Commit{}); !errors.Is(err, store.ErrUnavailable) || inner.calls != 5 {
			t.Errorf("a commit got through: %v", err)
		}
		time.Sleep(time.Second) // of the bubble's time
		_ = get()
		_ = get()
		if inner.calls != 6 {
			t.Errorf("after a rest it was asked %d times, want once", inner.calls-5)
		}
		time.Sleep(time.Second) // of the bubble's time
		inner.err = nil
		for range 20 {
			if err := get(); err != nil {
				t.Fatalf("it answers again: %v", err)
			}
		}
	})
}

// What a table refuses is an answer, and a caller who goes away says nothing of it.
func TestRefusalsAreAnswers(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		store.ErrNotFound, &store.ConditionError{Failed: []bool{true}}, store.ErrTooLarge, errors.Join(context.Canceled, store.ErrUnavailable),
	} {
		inner := &table{err: err}
		s := breakerstore.New(inner, "regional", slog.New(slog.DiscardHandler))
		for range 20 {
			if got := s.Commit(t.Context(), store.Commit{}); !errors.Is(got, err) {
				t.Fatalf("%v became %v", err, got)
			}
		}
		if inner.calls != 20 {
			t.Errorf("%v: the table was asked %d times of 20", err, inner.calls)
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
		t.Helper()
		db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return breakerstore.New(db.Table("t"), "t", slog.New(slog.DiscardHandler))
	}, storetest.Options{})
}
