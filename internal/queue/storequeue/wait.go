package storequeue

import (
	"context"
	"time"
)

// minPause bounds how soon the queue looks again by itself, for a clock that does not follow real time.
const minPause = time.Millisecond

// await waits until there may be messages, which it reports; not so when over fires, or is nil.
func (q *Queue) await(ctx context.Context, over <-chan time.Time) (more bool, err error) {
	if over == nil {
		return false, nil
	}
	bell := make(chan struct{}, 1)
	ready, err := q.enlist(bell)
	if ready || err != nil {
		return ready, err
	}
	defer q.leave(bell)
	select {
	case <-bell:
		return true, nil
	case <-over:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-q.ctx.Done():
		q.mu.Lock()
		defer q.mu.Unlock()
		return false, q.closed
	}
}

// enlist puts the bell among those that ring, unless there is something ready.
func (q *Queue) enlist(bell chan struct{}) (ready bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return false, q.closed
	}
	q.index.pass(q.now())
	if q.index.ready.Len() > 0 {
		return true, nil
	}
	q.waiters.PushBack(bell)
	q.wake()
	return false, nil
}

// leave takes the bell away. One that was rung for its owner, who may have gone for another reason, is rung for the next.
func (q *Queue) leave(bell chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e := q.waiters.Front(); e != nil; e = e.Next() {
		if e.Value == bell {
			q.waiters.Remove(e)
			return
		}
	}
	q.wake()
}

// wake rings a bell for each group that is ready, and sees to it that it is called when the next one will be; q.mu is held. Whatever
// changes the index ends with it.
func (q *Queue) wake() {
	for n := q.index.ready.Len(); n > 0 && q.waiters.Len() > 0; n-- {
		bell, _ := q.waiters.Remove(q.waiters.Front()).(chan struct{})
		bell <- struct{}{} // It has room, and rings once.
	}
	g := q.index.out.top()
	if g == nil || q.waiters.Len() == 0 || q.closed != nil {
		q.alarm.Stop()
		q.alarmAt = 0
		return
	}
	if at := g.deadline(); at != q.alarmAt {
		q.alarmAt = at
		q.alarm.Reset(max(time.Duration(at-q.now()), minPause))
	}
}

// ring is what the alarm does.
func (q *Queue) ring() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alarmAt = 0
	q.index.pass(q.now())
	q.wake()
}
