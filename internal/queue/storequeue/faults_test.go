package storequeue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/queuetest"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/testclock"
)

var errLost = errors.New("no answer")

// lossy is a store that does not answer each commit at the first time, nor at the second: of those that it does not answer, some took
// effect and some did not.
type lossy struct {
	store.Store

	mu       sync.Mutex
	rng      *rand.Rand // nil: it answers
	attempts map[string]int
	// down loses all answers, and before says whether it loses the commits with them.
	down, before atomic.Bool
	full         atomic.Bool
}

func (l *lossy) Commit(ctx context.Context, c store.Commit) error {
	lost := l.lost(c.Token)
	switch {
	case l.full.Load():
		return store.ErrFull
	case l.down.Load() && l.before.Load(), !l.down.Load() && lost == 0:
		return errLost
	}
	if err := l.Store.Commit(ctx, c); err != nil {
		return err
	}
	if l.down.Load() || lost == 1 {
		return errLost
	}
	return nil
}

func (l *lossy) lost(token string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attempts[token]++; l.rng == nil || l.attempts[token] > 2 {
		return -1
	}
	return l.rng.IntN(5)
}

func newLossy(t *testing.T, clock func() time.Time) *lossy {
	t.Helper()
	db := openDB(t, pebblestore.OpenMemory, pebblestore.Config{Clock: clock})
	return &lossy{Store: db.Table("queues"), attempts: map[string]int{}}
}

// A queue is the same over a store that loses answers.
func TestConformanceOverALossyStore(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T, s queuetest.Setup) queuetest.Queues {
		t.Helper()
		l := newLossy(t, s.Clock)
		l.rng = rand.New(rand.NewPCG(1, 2))
		return openQueues(t, l, s)
	}, queuetest.Options{Clock: testclock.New})
}

// An outcome that stays unknown for longer than the caller waits: the group waits until it is known, and then goes on.
func TestUnknownOutcomes(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"the commits took effect": false, "they did not": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLossy(t, nil)
			q := openQueue(t, storequeue.Config{Store: l, Name: "events"})
			ctx := t.Context()
			l.before.Store(before)
			unknown := func(what string, call func() error) {
				t.Helper()
				l.down.Store(true)
				if err := call(); !errors.Is(err, errLost) {
					t.Fatalf("%s: %v; want the outcome to be unknown", what, err)
				}
				l.down.Store(false)
			}
			send := func(body string) error {
				failed, err := q.Send(ctx, []queue.Outgoing{{Group: "a", Deduplication: body, Body: []byte(body)}})
				return errors.Join(append(failed, err)...)
			}
			receive := func(visibility time.Duration) ([]queue.Message, error) {
				return q.Receive(ctx, queue.Receive{Max: 1, Visibility: visibility, Wait: queue.MaxWait})
			}
			unknown("send", func() error { return send("first") })
			if err := send("second"); err != nil {
				t.Fatal(err)
			}
			for d := (queue.Depth{}); d.Waiting < 2; runtime.Gosched() { // Until the first's outcome is known.
				var err error
				if d, err = q.Depth(ctx); err != nil {
					t.Fatal(err)
				}
			}
			unknown("receive", func() error {
				got, err := receive(time.Second)
				if len(got) > 0 && err == nil {
					t.Errorf("received %q", got[0].Body)
				}
				return err
			})
			got, err := receive(time.Minute)
			if err != nil || len(got) != 1 || string(got[0].Body) != "first" || got[0].Receives < 2 {
				t.Fatalf("received %+v, %v; want the first again", got, err)
			}
			unknown("delete", func() error { _, err := q.Delete(ctx, []string{got[0].Receipt}); return err })
			if failed, err := q.Delete(ctx, []string{got[0].Receipt}); errors.Join(append(failed, err)...) != nil {
				t.Errorf("delete again: %v, %v", failed, err)
			}
			if got, err := receive(time.Minute); err != nil || len(got) != 1 || string(got[0].Body) != "second" {
				t.Errorf("received %+v, %v; want the second", got, err)
			}
		})
	}
}

// A full store refuses everything, and nothing is lost by it.
func TestFullStore(t *testing.T) {
	t.Parallel()
	l := newLossy(t, nil)
	q := openQueue(t, storequeue.Config{Store: l, Name: "events"})
	ctx := t.Context()
	send := func(body string) error {
		_, err := q.Send(ctx, []queue.Outgoing{{Group: "a", Deduplication: body, Body: []byte(body)}})
		return err
	}
	receive := func() ([]queue.Message, error) {
		return q.Receive(ctx, queue.Receive{Max: 10, Visibility: time.Minute})
	}
	if err := send("first"); err != nil {
		t.Fatal(err)
	}
	l.full.Store(true)
	_, err := receive()
	for what, err := range map[string]error{"send": send("second"), "receive": err} {
		if !errors.Is(err, queue.ErrFull) {
			t.Errorf("%s: %v; want ErrFull", what, err)
		}
	}
	l.full.Store(false)
	got, err := receive()
	if err != nil || len(got) != 1 || string(got[0].Body) != "first" || got[0].Receives != 1 {
		t.Fatalf("received %+v, %v; want the first", got, err)
	}
	l.full.Store(true)
	_, err = q.Delete(ctx, []string{got[0].Receipt})
	_, err2 := q.Extend(ctx, []string{got[0].Receipt}, 0)
	for what, err := range map[string]error{"delete": err, "extend": err2} {
		if !errors.Is(err, queue.ErrFull) {
			t.Errorf("%s: %v; want ErrFull", what, err)
		}
	}
	l.full.Store(false)
	if failed, err := q.Delete(ctx, []string{got[0].Receipt}); errors.Join(append(failed, err)...) != nil {
		t.Error(failed, err)
	}
	if d, err := q.Depth(ctx); err != nil || d != (queue.Depth{}) {
		t.Errorf("depth %+v, %v; want none", d, err)
	}
}
