package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
)

func concurrencyTests() []test {
	return []test{
		{name: "many senders and receivers, few groups", run: func(f *fixture) { newHistory(f, 3).run() }},
		{name: "many senders and receivers, many groups", run: func(f *fixture) { newHistory(f, 20).run() }},
		{name: "one of many equal messages", run: func(f *fixture) {
			const rounds, senders = 15, 6
			for round := range rounds {
				var wg sync.WaitGroup
				for range senders {
					wg.Go(func() {
						out := queue.Outgoing{Group: "a", Deduplication: strconv.Itoa(round), Body: []byte("m")}
						failed, err := f.Queue.Send(f.Context(), []queue.Outgoing{out})
						if err := errors.Join(append(failed, err)...); err != nil {
							f.Error(err)
						}
					})
				}
				wg.Wait()
			}
			f.drain(f.Queue, rounds)
		}},
		{name: "many who delete and extend one message", run: func(f *fixture) {
			for range 20 {
				f.send("a", "a1", "a2")
				m := f.one("a1", inFlight)
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						if failed, err := f.Queue.Delete(f.Context(), []string{m.Receipt}); err != nil || failed[0] != nil {
							f.Errorf("delete: %v, %v", failed, err)
						}
					})
					wg.Go(func() {
						failed, err := f.Queue.Extend(f.Context(), []string{m.Receipt}, inFlight)
						if err != nil || failed[0] != nil && !errors.Is(failed[0], queue.ErrStale) {
							f.Errorf("extend: %v, %v", failed, err)
						}
					})
				}
				wg.Wait()
				f.has(f.Queue, "a2")
			}
		}},
	}
}

// history is a run of senders and receivers, and what they see. Each sender sends numbers to each group. A receiver deletes some of a
// group's messages, from the first, and gives back the others. At each reception must hold:
//
//   - nobody else has a message of the group,
//   - of each sender, the numbers go on from the last one deleted, without a gap.
type history struct {
	*fixture

	groups int

	mu sync.Mutex
	// holder is who has messages of a group, deleted the last number deleted by group and sender.
	holder  map[string]int
	deleted map[string]int
	left    int
}

const (
	historySenders   = 4
	historyReceivers = 6
	historyEach      = 150 // messages of a sender
)

func newHistory(f *fixture, groups int) *history {
	return &history{fixture: f, groups: groups, holder: map[string]int{}, deleted: map[string]int{}, left: historySenders * historyEach}
}

func (h *history) run() {
	var wg sync.WaitGroup
	for s := range historySenders {
		wg.Go(func() { h.send(s) })
	}
	for r := range historyReceivers {
		wg.Go(func() { h.receive(r + 1) })
	}
	wg.Wait()
	h.none(h.Queue)
	h.none(h.Dead)
}

func (h *history) send(sender int) {
	rng := rand.New(rand.NewPCG(uint64(sender), 1)) //nolint:gosec // A seed that replays.
	next := make(map[string]int)
	for sent := 0; sent < historyEach; {
		n := min(1+rng.IntN(queue.MaxBatch), historyEach-sent)
		out := make([]queue.Outgoing, 0, n)
		for range n {
			group := fmt.Sprintf("g%d", rng.IntN(h.groups))
			next[group]++
			body := fmt.Sprintf("%d %d", sender, next[group])
			out = append(out, queue.Outgoing{Group: group, Deduplication: group + "/" + body[:1] + "/" + body[2:], Body: []byte(body)})
		}
		for range 1 + rng.IntN(2) { // Some are sent twice.
			failed, err := h.Queue.Send(h.Context(), out)
			if err := errors.Join(append(failed, err)...); err != nil {
				h.Errorf("send: %v", err)
				return
			}
		}
		sent += len(out)
	}
}

func (h *history) receive(receiver int) {
	rng := rand.New(rand.NewPCG(uint64(receiver), 2)) //nolint:gosec // A seed that replays.
	for h.goesOn() {
		got, err := h.Queue.Receive(h.Context(), queue.Receive{Max: 1 + rng.IntN(queue.MaxBatch), Visibility: inFlight, Wait: 100 * time.Millisecond})
		if err != nil {
			h.Errorf("receive: %v", err)
			return
		}
		byGroup := map[string][]queue.Message{}
		for _, m := range got {
			byGroup[m.Group] = append(byGroup[m.Group], m)
		}
		for group, messages := range byGroup {
			if !h.take(receiver, group, messages) {
				return
			}
		}
		for group, messages := range byGroup {
			keep := 0
			if rng.IntN(4) == 0 {
				keep = 1 + rng.IntN(len(messages))
			}
			n := len(messages) - keep
			if !h.release(group, messages[:n], messages[n:]) {
				return
			}
		}
	}
}

func (h *history) goesOn() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left > 0 && !h.Failed()
}

// take notes a reception and checks it.
func (h *history) take(receiver int, group string, messages []queue.Message) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other := h.holder[group]; other != 0 {
		h.Errorf("%d receives %q of %s while %d has messages of it", receiver, bodies(messages), group, other)
		return false
	}
	h.holder[group] = receiver
	next := map[int]int{}
	for _, m := range messages {
		var sender, n int
		if _, err := fmt.Sscan(string(m.Body), &sender, &n); err != nil {
			h.Error(err)
			return false
		}
		next[sender]++
		if want := h.deleted[streamOf(group, sender)] + next[sender]; n != want {
			h.Errorf("%d receives number %d of sender %d in %s, want %d: %q", receiver, n, sender, group, want, bodies(messages))
			return false
		}
	}
	return true
}

// release deletes some and gives back the others. What is about to happen is noted before: others may see it at once.
func (h *history) release(group string, done, back []queue.Message) bool {
	h.mu.Lock()
	for _, m := range done {
		h.deleted[streamOf(group, int(m.Body[0]-'0'))]++
	}
	h.left -= len(done)
	if len(back) == 0 {
		h.holder[group] = 0
	}
	h.mu.Unlock()
	if len(done) > 0 {
		failed, err := h.Queue.Delete(h.Context(), receipts(done))
		if err := errors.Join(append(failed, err)...); err != nil {
			h.Errorf("delete: %v", err)
			return false
		}
	}
	if len(back) == 0 {
		return true
	}
	h.mu.Lock()
	h.holder[group] = 0
	h.mu.Unlock()
	failed, err := h.Queue.Extend(h.Context(), receipts(back), 0)
	if err := errors.Join(append(failed, err)...); err != nil {
		h.Errorf("extend: %v", err)
		return false
	}
	return true
}

func streamOf(group string, sender int) string { return fmt.Sprintf("%s of %d", group, sender) }
