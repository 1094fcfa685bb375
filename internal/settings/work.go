package settings

import (
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

// work is what a destination has yet to be sent: the tenants whose streams may have gone on, and when they may be tried. It is a plain
// data structure: times are given to it. It is safe for concurrent use.
type work struct {
	mu sync.Mutex
	// dirty has every such tenant; ready has those that wait for nothing, the oldest first, late those that failed.
	dirty map[ident.TenantID]*dirt
	ready []ident.TenantID
	late  map[ident.TenantID]time.Time
	// down is until when the destination is left alone because it did not answer, and failures how often it did not in a row.
	down     time.Time
	failures int
	failure  error
	wake     chan struct{}
}

// dirt is what is known of such a tenant.
type dirt struct {
	since time.Time
	// missing is how many positions were not sent when it was looked at last; at least one is before that.
	missing uint64
	taken   bool
	// again says that it was marked while it was taken.
	again    bool
	attempts int
	lost     bool
}

func newWork() *work {
	return &work{dirty: make(map[ident.TenantID]*dirt), late: make(map[ident.TenantID]time.Time), wake: make(chan struct{}, 1)}
}

// mark says that a tenant's stream may have gone on. unseen is how many positions are known to be new.
func (w *work) mark(tenant ident.TenantID, unseen uint64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d, ok := w.dirty[tenant]
	if !ok {
		d = &dirt{since: now}
		w.dirty[tenant] = d
		w.ready = append(w.ready, tenant)
	}
	d.missing += unseen
	d.again = d.again || d.taken
	w.ring()
}

// ring wakes who waits for work; mu is held.
func (w *work) ring() {
	select {
	case w.wake <- struct{}{}:
	default: // It rings already.
	}
}

// take returns a tenant that may be tried now. When there is none it returns when the next will be; the zero time: not before it is
// marked.
func (w *work) take(now time.Time) (tenant ident.TenantID, ok bool, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Before(w.down) {
		return "", false, w.down
	}
	for t, at := range w.late {
		if !now.Before(at) {
			delete(w.late, t)
			w.ready = append(w.ready, t)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(w.ready) == 0 {
		return "", false, next
	}
	tenant, w.ready = w.ready[0], w.ready[1:]
	w.dirty[tenant].taken = true
	return tenant, true, next
}

// progress notes how much of a taken tenant's stream is not sent, and since when the oldest of it waits (zero: as before).
func (w *work) progress(tenant ident.TenantID, missing uint64, oldest time.Time, lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d, ok := w.dirty[tenant]; ok {
		d.missing, d.lost = missing, lost
		if !oldest.IsZero() {
			d.since = oldest
		}
	}
}

// done gives a tenant back that was tried with success; more says that not all was sent.
func (w *work) done(tenant ident.TenantID, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures, w.failure, w.down = 0, nil, time.Time{}
	d := w.dirty[tenant]
	if !more && !d.again {
		delete(w.dirty, tenant)
		return
	}
	d.taken, d.again, d.attempts = false, false, 0
	w.ready = append(w.ready, tenant)
	w.ring()
}

// failed gives a tenant back that could not be sent: the destination is left alone for a while if the fault is its, or else the tenant alone.
// jitter, 0 to 1, is the part of the longest pause that is taken.
func (w *work) failed(tenant ident.TenantID, err error, whole bool, now time.Time, jitter float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.dirty[tenant]
	d.taken, d.again = false, false
	w.failure = err
	if whole {
		if !now.Before(w.down) { // Those who were on their way fail together, and count once.
			w.failures++
			w.down = now.Add(pause(w.failures, jitter))
		}
		w.ready = append(w.ready, tenant)
	} else {
		d.attempts++
		w.late[tenant] = now.Add(pause(d.attempts, jitter))
	}
	w.ring()
}

// answers says that the destination was reached just now: it is tried at once.
func (w *work) answers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down.IsZero() {
		return
	}
	w.down = time.Time{}
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

// backlog says how much is not sent.
func (w *work) backlog() (events uint64, oldest time.Time, lost int, failure error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dirty {
		events += d.missing
		if d.missing > 0 && (oldest.IsZero() || d.since.Before(oldest)) {
			oldest = d.since
		}
		if d.lost {
			lost++
		}
	}
	return events, oldest, lost, w.failure
}
