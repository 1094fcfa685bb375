package dynamostore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
)

var (
	_ directory.Table = (*dynamostore.Directory)(nil)
	_ store.Walker    = (*dynamostore.Directory)(nil)
)

// record is a commit that puts record n of a log, if its number is free.
func record(n int, value, token string) store.Commit {
	return store.Commit{Token: token, Ops: []store.Op{{Kind: store.Put, If: store.Absent(), Item: store.Item{
		Key: store.Key{Partition: "w/a", Sort: fmt.Sprintf("%08d", n)}, Version: ident.Version{Seq: ident.Seq(n)},
		Tag: store.Tag{Class: store.ClassGlobal}, Value: []byte(value),
	}}}}
}

// at gives an accident to one request.
func at(n int, what accident) func(int, string) accident {
	return func(i int, _ string) accident {
		if i == n {
			return what
		}
		return none
	}
}

// TestDirectoryKnowsItsOwnWrites loses the answer of a put. The second attempt fails on the first one's effect, and that is success;
// with a token and without.
func TestDirectoryKnowsItsOwnWrites(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]accident{
		"lost request": lostRequest, "lost answer": lostAnswer, "failed answer": failedAnswer, "throttled": throttled,
	} {
		for _, token := range []string{"", "token-1"} {
			t.Run(fmt.Sprintf("%s, token %q", name, token), func(t *testing.T) {
				t.Parallel()
				d, s := newDirectory(t, at(1, what))
				if err := d.Commit(t.Context(), record(1, "v", token)); err != nil {
					t.Fatal(err)
				}
				if got := s.asked(); !slices.Equal(got, []string{"PutItem", "PutItem"}) {
					t.Errorf("requests %v", got)
				}
				if it, err := d.Get(t.Context(), record(1, "", "").Ops[0].Item.Key); err != nil || string(it.Value) != "v" {
					t.Errorf("stored: %v, %v", it, err)
				}
				// Another's, though equal, is not its own.
				var refused *store.ConditionError
				if err := d.Commit(t.Context(), record(1, "v", "token-2")); !errors.As(err, &refused) || refused.Stored[0].Seq != 1 {
					t.Errorf("the number is taken, and the answer is %v", err)
				}
			})
		}
	}
}

// TestDirectoryPutIfOlder loses the answer of a state item's put.
func TestDirectoryPutIfOlder(t *testing.T) {
	t.Parallel()
	d, s := newDirectory(t, at(2, lostAnswer))
	for n := 1; n <= 2; n++ {
		c := record(n, "v", "")
		c.Ops[0].Item.Key.Sort, c.Ops[0].If = "t/x", store.OlderThan(ident.Version{Seq: ident.Seq(n)})
		if err := d.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.asked()); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// TestDirectoryDoubt lets another writer take the number while the first attempt's outcome is open. The answer says that it is open;
// sending the commit again brings the truth.
func TestDirectoryDoubt(t *testing.T) {
	t.Parallel()
	d, _ := newDirectory(t, at(1, rivalThenLost))
	c := record(1, "v", "token-1")
	err := d.Commit(t.Context(), c)
	if open, ok := errors.AsType[*dynamostore.UnavailableError](err); !ok || !open.OutcomeUnknown {
		t.Fatalf("an open outcome: %v", err)
	}
	if err := d.Commit(t.Context(), c); !errors.As(err, new(*store.ConditionError)) {
		t.Errorf("sent again: %v; want a ConditionError", err)
	}
}

// TestDirectorySentAgain lets every answer be lost until the caller's time is over. The same commit, sent again, is known.
func TestDirectorySentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := true
		d, _ := newDirectory(t, func(int, string) accident {
			if lost {
				return lostAnswer
			}
			return none
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := d.Commit(ctx, record(1, "v", "token-1"))
		if open, ok := errors.AsType[*dynamostore.UnavailableError](err); !ok || !open.OutcomeUnknown || time.Since(begin) > time.Second {
			t.Fatalf("after %v: %v; want an open outcome within a second", time.Since(begin), err)
		}
		lost = false
		if err := d.Commit(t.Context(), record(1, "v", "token-1")); err != nil {
			t.Errorf("sent again: %v", err)
		}
		if err := d.Commit(t.Context(), record(1, "other", "token-1")); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("another commit under the token: %v; want ErrInvalid", err)
		}
	})
}

// TestDirectoryThrottled is throttled for longer than the caller has time: nothing took effect, and the answer says so.
func TestDirectoryThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, s := newDirectory(t, func(int, string) accident { return throttled })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := d.Commit(ctx, record(1, "v", ""))
		if refused, ok := errors.AsType[*dynamostore.UnavailableError](err); !ok || refused.OutcomeUnknown || refused.Attempts < 5 {
			t.Errorf("throttled: %v", err)
		}
		if len(s.items) > 0 {
			t.Errorf("stored: %v", s.items)
		}
	})
}

// TestDirectorySilence gets no answer to a put. There is time for another attempt within what the directory gives a commit.
func TestDirectorySilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, s := newDirectory(t, at(1, silence))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := d.Commit(ctx, record(1, "v", "token-1")); err != nil || len(s.asked()) != 2 {
			t.Errorf("%v after %v; want success at the second attempt", err, s.asked())
		}
	})
}

// TestDirectoryNotSentAgain loses the answer of a put without a condition, which a second attempt could make over another's: it is not
// sent again.
func TestDirectoryNotSentAgain(t *testing.T) {
	t.Parallel()
	d, s := newDirectory(t, at(1, lostAnswer))
	c := record(1, "v", "")
	c.Ops[0].If = store.Always()
	err := d.Commit(t.Context(), c)
	if open, ok := errors.AsType[*dynamostore.UnavailableError](err); !ok || !open.OutcomeUnknown || len(s.asked()) != 1 {
		t.Errorf("%v after %v; want an open outcome after one request", err, s.asked())
	}
}

// TestDirectoryTokens refuses tokens that would not protect.
func TestDirectoryTokens(t *testing.T) {
	t.Parallel()
	d, s := newDirectory(t, nil)
	always := record(1, "v", "token-1")
	always.Ops[0].If = store.Always()
	remove := store.Commit{Token: "token-1", Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: always.Ops[0].Item.Key}}}}
	for name, c := range map[string]store.Commit{"put": always, "delete": remove} {
		if err := d.Commit(t.Context(), c); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s under a token: %v; want ErrInvalid", name, err)
		}
	}
	if got := s.asked(); len(got) > 0 {
		t.Errorf("requests %v", got)
	}
}

// TestDirectoryRequests counts what each call costs: one request, and never one that the replicas of a global table refuse.
func TestDirectoryRequests(t *testing.T) {
	t.Parallel()
	d, s := newDirectory(t, nil)
	key := record(1, "", "").Ops[0].Item.Key
	for _, do := range []func() error{
		func() error { return d.Commit(t.Context(), record(1, "v", "token-1")) },
		func() error { _, err := d.Get(t.Context(), key); return err },
		func() error { _, err := d.Query(t.Context(), store.Query{Partition: "w/a"}); return err },
		func() error {
			return d.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Check, If: store.Absent(), Item: store.Item{Key: store.Key{Partition: "w/b"}}}}})
		},
		func() error {
			return d.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Delete, Item: store.Item{Key: key}}}})
		},
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"PutItem", "GetItem", "Query", "GetItem", "DeleteItem"}, s.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestDirectoryWriter writes a log while every other answer is lost: each record is there once, and every write is acknowledged.
func TestDirectoryWriter(t *testing.T) {
	t.Parallel()
	answers := 0
	d, _ := newDirectory(t, func(_ int, target string) accident {
		if target == "PutItem" {
			if answers++; answers%2 == 1 {
				return lostAnswer
			}
		}
		return none
	})
	w := directory.NewWriter(directory.WriterConfig{
		Table: d, Region: "us-east-1", Control: "us-east-1", Clock: time.Now, Random: rand.Reader,
	})
	const writes = 10
	for n := range writes {
		got, err := w.Write(t.Context(), func(context.Context, directory.View) (*directoryv1.Record, error) {
			return &directoryv1.Record{Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{Id: fmt.Sprintf("t%d", n)}}}, nil
		})
		if err != nil || got.GetWseq() != uint64(n+1) {
			t.Fatalf("write %d: %v, %v", n+1, got, err)
		}
	}
	page, err := d.Query(t.Context(), store.Query{Partition: "w/us-east-1"})
	if err != nil || len(page.Items) != writes {
		t.Errorf("%d records, %v; want %d", len(page.Items), err, writes)
	}
}

// TestDirectoryFeed follows the doorbell on a clock of its own: at once for what this process commits, and each interval for the rest.
func TestDirectoryFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDirectory(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		var mu sync.Mutex // What the clock wakes has not seen what was done before it was waited for.
		var sizes []int
		refuse := 2
		go func() {
			ended <- d.Changes(ctx, func(changes []store.Change) error {
				mu.Lock()
				defer mu.Unlock()
				if len(changes) > 0 && refuse > 0 {
					refuse--
					return errors.New("not now")
				}
				sizes = append(sizes, len(changes))
				return nil
			})
		}()
		batches := func() []int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(sizes)
		}
		if got := batches(); !slices.Equal(got, []int{0}) {
			t.Fatalf("at the beginning: batches of %v, want an empty one", got)
		}
		for n := range 3 {
			if err := d.Commit(t.Context(), record(n+1, "v", "")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(dynamostore.DirectoryInterval / 2) // Of the bubble's clock.
		before, told := batches(), 0
		for _, size := range before {
			told += size
		}
		if told != 3 {
			t.Errorf("batches of %v tell of %d commits, want 3", before, told)
		}
		time.Sleep(2 * dynamostore.DirectoryInterval)
		if got := batches()[len(before):]; !slices.Equal(got, []int{0, 0}) {
			t.Errorf("in two intervals: batches of %v, want two empty ones", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestDirectoryFeedSlow gives a consumer that does not come along a bounded number of changes, and says that there were more.
func TestDirectoryFeedSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDirectory(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		open := make(chan struct{})
		ended := make(chan error, 1)
		told, empty := 0, 0
		go func() {
			ended <- d.Changes(ctx, func(changes []store.Change) error {
				<-open
				if told += len(changes); len(changes) == 0 {
					empty++
				}
				return nil
			})
		}()
		synctest.Wait()
		const commits = 400
		for n := range commits {
			if err := d.Commit(t.Context(), record(n+1, "v", "")); err != nil {
				t.Fatal(err)
			}
		}
		close(open)
		synctest.Wait()
		if told >= commits || told == 0 || empty != 2 {
			t.Errorf("told of %d of %d, %d empty batches; want fewer, and one empty batch more for the rest", told, commits, empty)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}
