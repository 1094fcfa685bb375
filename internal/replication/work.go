package replication

import (
	"sync"
	"time"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// pair is a lane of a tenant and a feed of it, to one destination.
type pair struct {
	tenant ident.TenantID
	lane   ident.Lane
	feed   replicationv1.Feed
}

// work is what a destination has yet to be sent: the dirty pairs, and which of them may be tried when. It is a plain data
// structure: times are given to it. It is safe for concurrent use.
type work struct {
	mu sync.Mutex
	// pairs has every dirty pair; ready has those that wait for nothing, the oldest first, late those that failed.
	pairs map[pair]*dirt
	ready []pair
	late  map[pair]time.Time
	// down is until when the destination is left alone because it did not answer, and failures how often it did not in a row.
	down     time.Time
	failures int
	failure  error
	wake     chan struct{}
}

// dirt is what is known of a dirty pair.
type dirt struct {
	since      time.Time
	head, sent ident.Seq
	taken      bool
	// again says that it was marked while it was taken.
	again bool
	// attempts counts failures of the pair alone.
	attempts int
	lost     bool
}

func newWork() *work {
	return &work{pairs: make(map[pair]*dirt), late: make(map[pair]time.Time), wake: make(chan struct{}, 1)}
}

// mark makes a pair dirty: its outbox was seen to reach to head (0: not known).
func (w *work) mark(p pair, head ident.Seq, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.pairs[p]
	if !ok {
		d = &dirt{since: now}
		if head > 0 {
			d.sent = head - 1
		}
		w.pairs[p] = d
		w.ready = append(w.ready, p)
	}
	d.head = max(d.head, head)
	d.again = d.again || d.taken
	w.ring()
}

// putAside makes a pair dirty that is not to be tried.
func (w *work) putAside(p pair, head ident.Seq, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pairs[p] = &dirt{since: now, head: head, taken: true}
}

// ring wakes who waits for work; mu is held.
func (w *work) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns a pair that may be tried now. When there is none it returns when the next will be; the zero time: not before it
// is marked.
func (w *work) take(now time.Time) (p pair, ok bool, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Before(w.down) {
		return pair{}, false, w.down
	}
	for p, at := range w.late {
		if !now.Before(at) {
			delete(w.late, p)
			w.ready = append(w.ready, p)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(w.ready) == 0 {
		return pair{}, false, next
	}
	p = w.ready[0]
	w.ready = w.ready[1:]
	w.pairs[p].taken = true
	return p, true, next
}

// progress notes how far a taken pair was sent, and when the oldest write was committed that was not (zero: as before).
func (w *work) progress(p pair, sent ident.Seq, oldest time.Time, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.pairs[p]
	if !ok {
		return
	}
	d.sent, d.lost = sent, lost
	d.head = max(d.head, sent)
	if !oldest.IsZero() {
		d.since = oldest
	}
}

// heir is an empty work of the same destination, which is left alone as long.
func (w *work) heir() *work {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := newWork()
	h.down, h.failures, h.failure = w.down, w.failures, w.failure
	return h
}

// learn takes over from an heir how the destination answered.
func (w *work) learn(heir *work) {
	heir.mu.Lock()
	down, failures, failure := heir.down, heir.failures, heir.failure
	heir.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down, w.failures, w.failure = down, failures, failure
}

// resting tells whether the destination is to be left alone.
func (w *work) resting(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.down)
}

// retry gives a pair back that something changed under, to be tried again at once; false when that has happened too often.
func (w *work) retry(p pair) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.pairs[p]
	if d.attempts >= attempts {
		return false
	}
	d.attempts++
	d.taken, d.again = false, false
	w.ready = append(w.ready, p)
	w.ring()
	return true
}

// left returns the pairs that are dirty, and how far the outbox of each was seen to reach.
func (w *work) left() map[pair]ident.Seq {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := make(map[pair]ident.Seq, len(w.pairs))
	for p, d := range w.pairs {
		left[p] = d.head
	}
	return left
}

// done gives a pair back that was tried with success; more says that not all was sent.
func (w *work) done(p pair, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures, w.failure, w.down = 0, nil, time.Time{}
	d := w.pairs[p]
	if !more && !d.again {
		delete(w.pairs, p)
		return
	}
	d.taken, d.again, d.attempts = false, false, 0
	w.ready = append(w.ready, p)
	w.ring()
}

// failed gives a pair back that could not be sent: the destination is left alone for a while if the fault is its, or else the pair
// alone. jitter, 0 to 1, is the part of the longest pause that is taken.
func (w *work) failed(p pair, err error, whole bool, now time.Time, jitter float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.pairs[p]
	d.taken, d.again = false, false
	w.failure = err
	if whole {
		if !now.Before(w.down) { // Those who were on their way fail together, and count once.
			w.failures++
			w.down = now.Add(pause(w.failures, jitter))
		}
		w.ready = append(w.ready, p)
	} else {
		d.attempts++
		w.late[p] = now.Add(pause(d.attempts, jitter))
	}
	w.ring()
}

// refused notes that the destination did not take something.
func (w *work) refused(err error, now time.Time, jitter float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures++
	w.failure, w.down = err, now.Add(pause(w.failures, jitter))
}

// answered notes that the destination has taken something: what waits because it did not is tried at once.
func (w *work) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failures == 0 && w.down.IsZero() {
		return
	}
	w.failures, w.down, w.failure = 0, time.Time{}, nil
	w.ring()
}

// The pauses after failures.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 30 * time.Second
)

// pause is full jitter: anything up to a bound that doubles. See "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
func pause(failures int, jitter float64) time.Duration {
	bound := firstPause << min(failures-1, 16)
	return time.Duration(float64(min(bound, maxPause)) * jitter)
}

// backlog says how much is dirty.
func (w *work) backlog() (events uint64, oldest time.Time, lost int, failure error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.pairs {
		if d.head > d.sent {
			events += uint64(d.head - d.sent)
		}
		if oldest.IsZero() || d.since.Before(oldest) {
			oldest = d.since
		}
		if d.lost {
			lost++
		}
	}
	return events, oldest, lost, w.failure
}

// reaches notes how far a pair's outbox goes.
func (w *work) reaches(p pair, head ident.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d, ok := w.pairs[p]; ok {
		d.head = max(d.head, head)
	}
}

// progressOf notes how far a pair was sent that is not being sent now.
func (w *work) progressOf(p pair, sent ident.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d, ok := w.pairs[p]; ok && !d.taken {
		d.sent = sent
	}
}
