package storequeue_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/pebblestore/crashfs"
)

// TestCrash runs a random workload and, before each operation of the file system that changes anything, looks at what a crash
// at that moment could leave: with nothing, half or nearly all of what was not synced. In each such state, opened again,
//
//   - each accepted message is in the queue or a dead letter, and not both, with its id,
//   - none whose deletion returned is,
//   - those of a group are in their order,
//   - what was received is still in flight, and counts as received when it comes again.
//
// A second round begins in a state that a crash left, so that recovery is crashed as well.
func TestCrash(t *testing.T) {
	t.Parallel()
	r := &crashRun{t: t, model: &crashModel{messages: map[string]crashMessage{}}}
	disk := vfs.NewCrashableMem()
	for round := range 2 {
		r.round(disk, round)
		disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 99))})
	}
	t.Logf("%d points, %d states checked: %v; %d messages were deleted", r.points, r.states, r.byOp, r.model.count())
	if r.points < 100 || r.byOp["sync"] == 0 || r.model.count() == 0 || r.deadSeen == 0 || r.heldSeen == 0 {
		t.Errorf("the workload does not exercise the queue: %d dead letters, %d in flight", r.deadSeen, r.heldSeen)
	}
}

const (
	crashWorkers    = 3
	crashSteps      = 12
	crashMaxSent    = 15
	crashVisibility = time.Minute
)

// crashNow is the time of the workload, which stands.
func crashNow() time.Time { return time.Unix(1_700_000_000, 0) }

type crashRun struct {
	t     *testing.T
	model *crashModel

	points, states, deadSeen, heldSeen int
	byOp                               map[string]int
}

// crashMessage is what is known of a message from outside.
type crashMessage struct {
	id                string
	accepted          bool
	deleting, deleted bool
	held              bool
	receives          int
}

type crashModel struct {
	mu       sync.Mutex
	messages map[string]crashMessage
}

func (m *crashModel) change(messages []queue.Message, fn func(queue.Message, *crashMessage)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, msg := range messages {
		known := m.messages[string(msg.Body)]
		fn(msg, &known)
		m.messages[string(msg.Body)] = known
	}
}

func (m *crashModel) snapshot() map[string]crashMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.messages)
}

func (m *crashModel) count() (deleted int) {
	for _, msg := range m.snapshot() {
		if msg.deleted {
			deleted++
		}
	}
	return deleted
}

func crashConfig(fs vfs.FS) pebblestore.Config {
	return pebblestore.Config{
		Dir: "/data/region", FS: fs, MemTableBytes: 64 << 10, MemoryBytes: 1 << 20, SweepInterval: -1, Clock: crashNow,
	}
}

// openCrashed opens both queues on a table.
func openCrashed(ctx context.Context, table store.Store, clock func() time.Time) (q, dead *storequeue.Queue, err error) {
	dead, err = storequeue.Open(ctx, storequeue.Config{Store: table, Name: "events.dead", Clock: clock})
	if err != nil {
		return nil, nil, err
	}
	q, err = storequeue.Open(ctx, storequeue.Config{Store: table, Name: "events", DeadLetters: dead, MaxReceives: 2, Clock: clock})
	return q, dead, err
}

// round opens the queues on disk, runs the workload and closes, checking at each point.
func (r *crashRun) round(disk *vfs.MemFS, round int) {
	r.t.Helper()
	if r.byOp == nil {
		r.byOp = map[string]int{}
	}
	fs, setHook := crashfs.New(disk)
	setHook(func(op string) { r.point(disk, op) })
	db, err := pebblestore.Open(crashConfig(fs))
	if err != nil {
		r.t.Fatal(err)
	}
	// What the first round held is in flight in the second, too.
	q, dead, err := openCrashed(r.t.Context(), db.Table("queues"), crashNow)
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range crashWorkers {
		rng := rand.New(rand.NewPCG(uint64(round), uint64(w)))
		wg.Go(func() { r.work(q, fmt.Sprintf("r%dw%d", round, w), rng) })
	}
	wg.Wait()
	r.wearOut(q, dead)
	if err := errors.Join(q.Close(), dead.Close(), db.Close()); err != nil {
		r.t.Error(err)
	}
}

// wearOut receives messages of one more group and gives them back until there is a dead letter, however the workers came out.
func (r *crashRun) wearOut(q, dead *storequeue.Queue) {
	body := fmt.Sprintf("worn%06d", r.points)
	messages := []queue.Message{{Body: []byte(body)}}
	r.model.change(messages, func(queue.Message, *crashMessage) {})
	failed, err := q.Send(r.t.Context(), []queue.Outgoing{{Group: body[:4], Deduplication: body, Body: []byte(body)}})
	if err := errors.Join(append(failed, err)...); err != nil {
		r.t.Error(err)
		return
	}
	r.model.change(messages, func(_ queue.Message, m *crashMessage) { m.accepted = true })
	for range 100 {
		got, err := q.Receive(r.t.Context(), queue.Receive{Max: queue.MaxBatch, Visibility: crashVisibility})
		if err != nil {
			r.t.Error(err)
			return
		}
		r.model.change(got, func(msg queue.Message, m *crashMessage) { m.id, m.held, m.receives = msg.ID, true, msg.Receives })
		r.release(q, nil, got, true)
		if depth, err := dead.Depth(r.t.Context()); err != nil || depth.Waiting > 0 {
			return
		}
	}
}

// work sends to a group of its own, and receives from all.
func (r *crashRun) work(q queue.Queue, group string, rng *rand.Rand) {
	sent := 0
	for range crashSteps {
		if n := min(1+rng.IntN(3), crashMaxSent-sent); n > 0 {
			out, messages := make([]queue.Outgoing, 0, n), make([]queue.Message, 0, n)
			for range n {
				sent++
				body := fmt.Sprintf("%s %02d %s", group, sent, strings.Repeat("x", rng.IntN(3000)))
				out = append(out, queue.Outgoing{Group: group, Deduplication: fmt.Sprintf("%s/%d", group, sent), Body: []byte(body)})
				messages = append(messages, queue.Message{Body: []byte(body)})
			}
			r.model.change(messages, func(queue.Message, *crashMessage) {}) // Begun.
			if failed, err := q.Send(r.t.Context(), out); errors.Join(append(failed, err)...) != nil {
				r.t.Error(failed, err)
				return
			}
			r.model.change(messages, func(_ queue.Message, m *crashMessage) { m.accepted = true })
		}
		got, err := q.Receive(r.t.Context(), queue.Receive{Max: 4, Visibility: crashVisibility})
		if err != nil {
			r.t.Error(err)
			return
		}
		r.model.change(got, func(msg queue.Message, m *crashMessage) {
			m.id, m.held, m.receives = msg.ID, true, msg.Receives
		})
		n := min(rng.IntN(4), len(got))
		r.release(q, got[:n], got[n:], rng.IntN(6) > 0)
	}
}

// release deletes some, and gives back the others or keeps them.
func (r *crashRun) release(q queue.Queue, done, back []queue.Message, give bool) {
	if len(done) > 0 {
		r.model.change(done, func(_ queue.Message, m *crashMessage) { m.deleting = true })
		if failed, err := q.Delete(r.t.Context(), receiptsOf(done)); errors.Join(append(failed, err)...) != nil {
			r.t.Error(failed, err)
		}
		r.model.change(done, func(_ queue.Message, m *crashMessage) { m.deleted = true })
	}
	if len(back) > 0 && give {
		r.model.change(back, func(_ queue.Message, m *crashMessage) { m.held = false })
		if failed, err := q.Extend(r.t.Context(), receiptsOf(back), 0); errors.Join(append(failed, err)...) != nil {
			r.t.Error(failed, err)
		}
	}
}

func receiptsOf(messages []queue.Message) (receipts []string) {
	for _, m := range messages {
		receipts = append(receipts, m.Receipt)
	}
	return receipts
}

// point is a moment at which the machine may crash.
func (r *crashRun) point(disk *vfs.MemFS, op string) {
	r.points++
	r.byOp[op]++
	model := r.model.snapshot()
	for _, percent := range []int{0, 50, 95} {
		if percent == 0 && op != "sync" {
			continue // Without what is not synced, the last state before each sync has the most to answer for.
		}
		clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(r.points)))})
		r.states++
		if problems := r.verify(clone, model); len(problems) > 0 {
			r.t.Errorf("crash at point %d (%s), %d %% of the unsynced data kept:\n\t%s", r.points, op, percent, strings.Join(problems, "\n\t"))
		}
	}
}

// verify opens what a crash left and returns what is wrong with it.
func (r *crashRun) verify(disk vfs.FS, model map[string]crashMessage) []string {
	db, err := pebblestore.Open(crashConfig(disk))
	if err != nil {
		return []string{fmt.Sprintf("open: %v", err)}
	}
	now := crashNow()
	ctx := context.Background()
	q, dead, err := openCrashed(ctx, db.Table("queues"), func() time.Time { return now })
	if err != nil {
		return []string{fmt.Sprintf("open: %v", err)}
	}
	problems := inFlight(ctx, q, model)
	now = now.Add(2 * crashVisibility) // Nothing is in flight any more.
	letters, err := everything(ctx, dead, true)
	messages, err2 := everything(ctx, q, true)
	more, err3 := everything(ctx, dead, true) // What was received too often when the queue was looked at.
	if err := errors.Join(err, err2, err3); err != nil {
		problems = append(problems, err.Error())
	}
	r.deadSeen += len(letters)
	for _, m := range model {
		if m.held {
			r.heldSeen++
		}
	}
	problems = append(problems, compare(model, messages, append(letters, more...))...)
	if err := errors.Join(q.Close(), dead.Close(), db.Close()); err != nil {
		problems = append(problems, fmt.Sprintf("close: %v", err))
	}
	return problems
}

// inFlight looks whether what was held can be received. It gives nothing back.
func inFlight(ctx context.Context, q queue.Queue, model map[string]crashMessage) (problems []string) {
	got, err := everything(ctx, q, false)
	if err != nil {
		return []string{err.Error()}
	}
	for _, m := range got {
		if known := model[string(m.Body)]; known.held && !known.deleting {
			problems = append(problems, fmt.Sprintf("%.10q was in flight and is received", m.Body))
		}
	}
	return problems
}

// everything receives all that can be received, and deletes it, or leaves it in flight.
func everything(ctx context.Context, q queue.Queue, remove bool) (all []queue.Message, err error) {
	for {
		got, err := q.Receive(ctx, queue.Receive{Max: queue.MaxBatch, Visibility: crashVisibility})
		if err != nil || len(got) == 0 {
			return all, err
		}
		all = append(all, got...)
		if !remove {
			continue
		}
		if failed, err := q.Delete(ctx, receiptsOf(got)); errors.Join(append(failed, err)...) != nil {
			return all, errors.Join(append(failed, err)...)
		}
	}
}

// compare checks what is in the queues against the model.
func compare(model map[string]crashMessage, messages, letters []queue.Message) (problems []string) {
	fail := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	found := map[string]int{}
	for i, all := range [][]queue.Message{messages, letters} {
		last := map[string]string{}
		for _, m := range all {
			body := string(m.Body)
			known, begun := model[body]
			switch {
			case !begun:
				fail("%.10q was never sent", body)
			case known.deleted:
				fail("%.10q was deleted and is back", body)
			case known.id != "" && known.id != m.ID:
				fail("%.10q has another id than before", body)
			case i == 0 && m.Receives <= known.receives:
				fail("%.10q was received %d times before, and now it is %d", body, known.receives, m.Receives)
			case body <= last[m.Group]:
				fail("%.10q comes after %.10q", body, last[m.Group])
			}
			last[m.Group] = body
			if found[body]++; found[body] > 1 {
				fail("%.10q is there twice", body)
			}
		}
	}
	for body, known := range model {
		if known.accepted && !known.deleting && found[body] == 0 {
			fail("%.10q was accepted and is lost", body)
		}
	}
	return problems
}
