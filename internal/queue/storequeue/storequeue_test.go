package storequeue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/testclock"
)

func send(t *testing.T, q queue.Queue, group string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		failed, err := q.Send(t.Context(), []queue.Outgoing{{Group: group, Deduplication: group + strings.ReplaceAll(body, " ", "-"), Body: []byte(body)}})
		if err := errors.Join(append(failed, err)...); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
}

// receive returns one reception of at most 10 messages, which has these bodies.
func receive(t *testing.T, q queue.Queue, visibility time.Duration, want ...string) []queue.Message {
	t.Helper()
	got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: visibility})
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	bodies := make([]string, 0, len(got))
	for _, m := range got {
		bodies = append(bodies, string(m.Body))
	}
	slices.Sort(bodies) // Nothing is promised across groups.
	if !slices.Equal(want, bodies) {
		t.Errorf("received %q, want %q", bodies, want)
	}
	return got
}

func remove(t *testing.T, q queue.Queue, messages []queue.Message) {
	t.Helper()
	failed, err := q.Delete(t.Context(), receiptsOf(messages))
	if err := errors.Join(append(failed, err)...); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// items walks all partitions of a queue.
func items(t *testing.T, table store.Store, name string) (all []store.Item) {
	t.Helper()
	for _, p := range storequeue.Partitions(name) {
		page, err := table.Query(t.Context(), store.Query{Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Items...)
	}
	return all
}

func TestRetention(t *testing.T) {
	t.Parallel()
	clock := testclock.New()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{Clock: clock.Read}).Table("queues")
	dead := openQueue(t, storequeue.Config{Store: table, Name: "dead", Clock: clock.Read, Retention: 2 * time.Hour})
	q := openQueue(t, storequeue.Config{
		Store: table, Name: "events", Clock: clock.Read, Retention: time.Hour, DeadLetters: dead, MaxReceives: 1,
	})
	send(t, q, "a", "a1")
	send(t, q, "b", "b1") // In flight when its time is over.
	clock.Move(30 * time.Minute)
	send(t, q, "a", "a2")
	send(t, q, "c", "c1")
	receive(t, q, time.Second, "a1", "a2", "b1", "c1")
	clock.Move(time.Second)
	receive(t, q, time.Second) // All are dead letters now, and the time begins anew.
	send(t, q, "a", "a3")
	clock.Move(30 * time.Minute)
	send(t, q, "b", "b2")
	clock.Move(30*time.Minute + time.Second)
	if d, err := q.Depth(t.Context()); err != nil || d.Waiting != 1 {
		t.Errorf("depth %+v, %v; want the one that is not too old", d, err)
	}
	receive(t, q, time.Minute, "b2")
	receive(t, dead, time.Minute, "a1", "a2", "b1", "c1")
	clock.Move(time.Hour + time.Second) // In flight or not, its time is over.
	if d, err := dead.Depth(t.Context()); err != nil || d != (queue.Depth{}) {
		t.Errorf("depth %+v, %v; want none", d, err)
	}
	receive(t, dead, time.Minute)
	clock.Move(24 * time.Hour)
	for _, name := range []string{"dead", "events"} {
		if left := items(t, table, name); len(left) != 1 { // The number of openings.
			t.Errorf("%s: %d items are left, want 1", name, len(left))
		}
	}
}

// A store whose clock is ahead has removed what the queue has not.
func TestMessagesThatTheStoreHasRemoved(t *testing.T) {
	t.Parallel()
	storeClock, clock := testclock.New(), testclock.New()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{Clock: storeClock.Read}).Table("queues")
	q := openQueue(t, storequeue.Config{Store: table, Name: "events", Clock: clock.Read, Retention: time.Hour})
	send(t, q, "a", "a1", "a2")
	storeClock.Move(2 * time.Hour)
	clock.Move(time.Minute)
	receive(t, q, time.Minute)
	if d, err := q.Depth(t.Context()); err != nil || d != (queue.Depth{}) {
		t.Errorf("depth %+v, %v; want none", d, err)
	}
}

// Who opens a queue a second time takes it over; the first must not go on with what it knows.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	first := openQueue(t, storequeue.Config{Store: table, Name: "events"})
	other := openQueue(t, storequeue.Config{Store: table, Name: "event"})
	send(t, first, "a", "a1")
	got := receive(t, first, time.Minute, "a1")
	second := openQueue(t, storequeue.Config{Store: table, Name: "events"})
	if _, err := first.Delete(t.Context(), receiptsOf(got)); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("delete: %v; want ErrClosed", err)
	}
	if _, err := first.Depth(t.Context()); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("depth: %v; want ErrClosed", err)
	}
	remove(t, second, got) // The reception is kept, and its receipt is good.
	send(t, second, "a", "a2")
	receive(t, second, time.Minute, "a2")
	send(t, other, "a", "a1")
	receive(t, other, time.Minute, "a1")
}

func TestItemsAreTagged(t *testing.T) {
	t.Parallel()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	tag := func(body []byte) store.Tag {
		return store.Tag{Tenant: "acme-eu", Class: store.Class(body[0] - '0'), Jurisdiction: "EU"}
	}
	dead := openQueue(t, storequeue.Config{Store: table, Name: "dead"})
	q := openQueue(t, storequeue.Config{Store: table, Name: "events", Tag: tag, DeadLetters: dead, MaxReceives: 1})
	send(t, q, "a", "3 is PII")
	send(t, q, "b", "2 is REGIONAL")
	check := func(name string) {
		t.Helper()
		found := 0
		for _, it := range items(t, table, name) {
			want := store.Tag{Class: store.ClassGlobal}
			for _, body := range []string{"3 is PII", "2 is REGIONAL"} {
				if bytes.Contains(it.Value, []byte(body)) {
					want = tag([]byte(body))
					found++
				}
			}
			if diff := cmp.Diff(want, it.Tag); diff != "" {
				t.Errorf("%s: the tag of %q (-want +got):\n%s", name, it.Key, diff)
			}
		}
		if found != 2 {
			t.Errorf("%s: found %d messages, want 2", name, found)
		}
	}
	got := receive(t, q, time.Minute, "2 is REGIONAL", "3 is PII")
	check("events")
	if failed, err := q.Extend(t.Context(), receiptsOf(got), 0); errors.Join(append(failed, err)...) != nil {
		t.Fatal(failed, err)
	}
	receive(t, q, time.Minute)
	check("dead")
}

// What is malformed stops neither the queue nor its group, and is said without its content.
func TestMalformedItems(t *testing.T) {
	t.Parallel()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	send(t, openQueue(t, storequeue.Config{Store: table, Name: "events"}), "a", "a1", "a2", "a3")
	n := 0
	for _, it := range items(t, table, "events") {
		if bytes.HasSuffix(it.Value, []byte("a2")) {
			it.Value = []byte("content")
			n++
			if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: it}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var log bytes.Buffer
	q := openQueue(t, storequeue.Config{Store: table, Name: "events", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	remove(t, q, receive(t, q, time.Minute, "a1", "a3"))
	if n != 1 || !strings.Contains(log.String(), "malformed") || strings.Contains(log.String(), "content") {
		t.Errorf("logged %q", log.String())
	}
}

// A message that cannot be read holds its group, and no other.
func TestUnreadableMessages(t *testing.T) {
	t.Parallel()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	q := openQueue(t, storequeue.Config{Store: table, Name: "events"})
	send(t, q, "a", "a1")
	send(t, q, "b", "b1", "b2")
	for _, it := range items(t, table, "events") {
		if bytes.HasSuffix(it.Value, []byte("b1")) {
			it.Value = []byte("content")
			if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: it}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove(t, q, receive(t, q, time.Minute, "a1"))
	if got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Minute}); err == nil || strings.Contains(err.Error(), "content") {
		t.Errorf("received %d messages, %v; want an error without content", len(got), err)
	}
	send(t, q, "a", "a2")
	receive(t, q, time.Minute, "a2")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	other := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	dead := openQueue(t, storequeue.Config{Store: other, Name: "dead"})
	for name, cfg := range map[string]storequeue.Config{
		"no store": {Name: "events"}, "no name": {Store: table}, "a bad name": {Store: table, Name: "a/b"},
		"a long name":                {Store: table, Name: strings.Repeat("a", 65)},
		"dead letters elsewhere":     {Store: table, Name: "events", DeadLetters: dead, MaxReceives: 1},
		"dead letters without limit": {Store: other, Name: "events", DeadLetters: dead},
		"its own dead letters":       {Store: other, Name: "dead", DeadLetters: dead, MaxReceives: 1},
	} {
		if q, err := storequeue.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: opened", name)
			_ = q.Close()
		}
	}
}

func TestWaitingBySender(t *testing.T) {
	t.Parallel()
	table := openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues")
	open := func() *storequeue.Queue {
		q, err := storequeue.Open(t.Context(), storequeue.Config{
			Store: table, Name: "q", Sender: func(body []byte) string { return string(body[:1]) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := open()
	for i, m := range []queue.Outgoing{{Group: "x", Body: []byte("a1")}, {Group: "x", Body: []byte("a2")}, {Group: "y", Body: []byte("b1")}} {
		m.Deduplication = strconv.Itoa(i)
		if _, err := q.Send(t.Context(), []queue.Outgoing{m}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if diff := cmp.Diff(map[string]int{"a": 2, "b": 1}, q.Waiting()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		q = open()
	}
}

func TestBrowseReceivesNothing(t *testing.T) {
	t.Parallel()
	q, err := storequeue.Open(t.Context(), storequeue.Config{
		Store: openDB(t, pebblestore.OpenMemory, pebblestore.Config{}).Table("queues"), Name: "q",
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 25 {
		send(t, q, "one-group", strconv.Itoa(n))
	}
	for range 3 {
		first, all, err := q.Browse(t.Context(), 20)
		if err != nil || all != 25 || len(first) != 20 || string(first[19].Body) != "19" || first[0].Receives != 0 {
			t.Fatalf("%d of %d, %v", len(first), all, err)
		}
	}
	got, err := q.Receive(t.Context(), queue.Receive{Max: 10, Visibility: time.Minute})
	if err != nil || len(got) != 10 || got[0].Receives != 1 {
		t.Errorf("%d messages, %v", len(got), err)
	}
	if first, _, err := q.Browse(t.Context(), 1); err != nil || first[0].ID != got[0].ID || first[0].Receives != 1 {
		t.Errorf("browsed %v, %v", first, err)
	}
}
