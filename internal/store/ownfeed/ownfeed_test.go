package ownfeed_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/ownfeed"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/storetest"
)

func open(t testing.TB, clock func() time.Time) *pebblestore.DB {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// failing is a table that answers commits with an error, after or before they took effect.
type failing struct {
	store.Store

	err error
}

func (f failing) Commit(context.Context, store.Commit) error { return f.err }

func put(sort string) store.Commit {
	return store.Commit{Ops: []store.Op{{Kind: store.Put, Item: store.Item{
		Key: store.Key{Partition: "p", Sort: sort}, Tag: store.Tag{Class: store.ClassGlobal}, Value: []byte("v"),
	}}}}
}

// follow collects batches until ctx ends. It refuses the first batch that has changes, if it is to.
func follow(ctx context.Context, s store.Store, refuse bool, got chan<- []string) {
	_ = s.Changes(ctx, func(changes []store.Change) error {
		if refuse && len(changes) > 0 {
			refuse = false
			return errors.New("refused")
		}
		names := make([]string, 0, len(changes))
		for _, c := range changes {
			names = append(names, c.Key.Sort)
		}
		got <- names
		return nil
	})
}

func TestOwnCommitsAreTold(t *testing.T) {
	t.Parallel()
	s := ownfeed.New(open(t, time.Now).Table("t"), time.Hour)
	got := make(chan []string, 10)
	go follow(t.Context(), s, false, got)
	if first := <-got; len(first) != 0 {
		t.Errorf("the first batch is %v, want none", first)
	}
	if err := s.Commit(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, <-got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A commit that perhaps took effect is told of, one that did not is not; a refused batch comes again.
func TestUnknownOutcomesAndRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		refuse bool
		want   []string
	}{
		"unknown outcome":  {errors.New("no answer"), false, []string{"a"}},
		"condition failed": {&store.ConditionError{Failed: []bool{true}}, false, nil},
		"refused":          {nil, true, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				s := ownfeed.New(failing{err: tt.err}, time.Hour)
				got := make(chan []string, 10)
				go follow(ctx, s, tt.refuse, got)
				<-got
				_ = s.Commit(ctx, put("a"))
				time.Sleep(time.Second) // of the bubble's time
				synctest.Wait()
				cancel()
				synctest.Wait()
				close(got)
				var last []string
				for batch := range got {
					last = batch
				}
				if diff := cmp.Diff(tt.want, last); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestIntervalSaysThatThereMayBeMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := ownfeed.New(failing{}, time.Minute)
		got := make(chan []string, 100)
		go follow(ctx, s, false, got)
		time.Sleep(5*time.Minute + time.Second) // of the bubble's time
		cancel()
		synctest.Wait()
		if len(got) != 6 {
			t.Errorf("%d batches in five minutes and at the beginning, want 6", len(got))
		}
	})
}

// What is committed at the moment at which the feed says that there may be more is told all the same.
func TestIntervalTakesNothingAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := ownfeed.New(failing{}, time.Minute)
		const commits = 1000
		got := make(chan []string, 3*commits)
		go follow(ctx, s, false, got)
		synctest.Wait()
		for i := range commits {
			time.Sleep(time.Minute) // of the bubble's time
			if err := s.Commit(ctx, put(strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(got)
		told := 0
		for batch := range got {
			told += len(batch)
		}
		if told != commits {
			t.Errorf("%d of %d commits were told of", told, commits)
		}
	})
}

// The feed knows nothing of a table being closed, as those that it is for never are.
func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
		t.Helper()
		return ownfeed.New(open(t, clock).Table("t"), 50*time.Millisecond)
	}, storetest.Options{})
}
