package sqsqueue

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
)

// maxReceptions bounds what is remembered: some 200 bytes each.
const maxReceptions = 20_000

// receptions remembers which receipts of this process are stale. What it has forgotten, or never knew, SQS judges alone.
type receptions struct {
	mu sync.Mutex
	// all are the receptions by receipt; oldest have them in the order in which they came.
	all    map[digest]*reception
	oldest list.List
	// last is the last reception of each message that is remembered, by the message's id.
	last map[string]*reception
}

type digest [sha256.Size]byte

// reception is a reception of a message.
type reception struct {
	receipt digest
	message string
	// begin is when it came, deadline when its visibility time-out has ended at the latest.
	begin, deadline time.Time
	// over says that the message was received again or given back; deleted, that it was deleted under this receipt.
	over, deleted bool
	place         *list.Element
}

// add notes that a message was received.
func (r *receptions) add(message, receipt string, now, deadline time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all, r.last = make(map[digest]*reception), make(map[string]*reception)
	}
	key := sha256.Sum256([]byte(receipt))
	if known, ok := r.all[key]; ok { // The answer to an attempt that was made before.
		known.deadline = deadline
		return
	}
	if before, ok := r.last[message]; ok {
		before.over = true
	}
	one := &reception{receipt: key, message: message, begin: now, deadline: deadline}
	one.place = r.oldest.PushBack(one)
	r.all[key], r.last[message] = one, one
	if r.oldest.Len() > maxReceptions {
		r.forget()
	}
}

// forget forgets the oldest.
func (r *receptions) forget() {
	one, _ := r.oldest.Remove(r.oldest.Front()).(*reception)
	delete(r.all, one.receipt)
	if r.last[one.message] == one {
		delete(r.last, one.message)
	}
}

// verdict is what is known of a receipt.
type verdict struct {
	// stale and deleted are as the port has them; the others may be good.
	stale, deleted bool
	// begin is when the message was received; zero: not known.
	begin time.Time
}

func (r *receptions) judge(receipt string, now time.Time) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch one, ok := r.all[sha256.Sum256([]byte(receipt))]; {
	case !ok:
		return verdict{}
	case one.deleted:
		return verdict{deleted: true}
	default:
		return verdict{stale: one.over || !now.Before(one.deadline), begin: one.begin}
	}
}

// deleted notes that a message was deleted.
func (r *receptions) deleted(receipt string) {
	r.change(receipt, func(one *reception) { one.deleted = true })
}

// extended notes that SQS said that a visibility time-out ends so long after now.
func (r *receptions) extended(receipt string, now time.Time, visibility time.Duration) {
	r.change(receipt, func(one *reception) {
		one.deadline = now.Add(visibility)
		one.over = one.over || visibility == 0
	})
}

// perhapsExtended notes that SQS was asked for it and did not answer.
func (r *receptions) perhapsExtended(receipt string, now time.Time, visibility time.Duration) {
	r.change(receipt, func(one *reception) {
		if end := now.Add(visibility); end.After(one.deadline) {
			one.deadline = end
		}
	})
}

func (r *receptions) change(receipt string, to func(*reception)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one, ok := r.all[sha256.Sum256([]byte(receipt))]; ok {
		to(one)
	}
}

// beyond tells whether a message would be in flight for too long altogether.
func (v verdict) beyond(now time.Time, visibility time.Duration) bool {
	return !v.begin.IsZero() && now.Add(visibility).Sub(v.begin) > queue.MaxVisibility && visibility > 0
}
