package storequeue_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/queue/storequeue"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// BenchmarkCycle sends, receives and deletes messages of 600 bytes in batches of 10, on a disk: one sender a group, and as many
// receivers as groups.
func BenchmarkCycle(b *testing.B) {
	for _, groups := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) { benchCycle(b, groups) })
	}
}

func benchCycle(b *testing.B, groups int) {
	b.Helper()
	db, err := pebblestore.Open(pebblestore.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	q, err := storequeue.Open(b.Context(), storequeue.Config{Store: db.Table("queues"), Name: "events"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var toSend, toReceive atomic.Int64
	toSend.Store(int64(b.N))
	toReceive.Store(int64(b.N))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for g := range groups {
		wg.Go(func() { benchSend(b, q, g, &toSend) })
		wg.Go(func() { benchReceive(b, q, &toReceive, done) })
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if err := q.Close(); err != nil {
		b.Error(err)
	}
	if err := db.Close(); err != nil {
		b.Error(err)
	}
}

func benchSend(b *testing.B, q queue.Queue, g int, left *atomic.Int64) {
	b.Helper()
	group := fmt.Sprintf("group-%d", g)
	for sent := 0; ; {
		n := min(left.Add(-queue.MaxBatch)+queue.MaxBatch, queue.MaxBatch)
		if n <= 0 {
			return
		}
		out := make([]queue.Outgoing, n)
		for i := range out {
			sent++
			out[i] = queue.Outgoing{Group: group, Deduplication: fmt.Sprintf("%s/%d", group, sent), Body: make([]byte, 600)}
		}
		if _, err := q.Send(b.Context(), out); err != nil {
			b.Error(err)
			return
		}
	}
}

func benchReceive(b *testing.B, q queue.Queue, left *atomic.Int64, done chan struct{}) {
	b.Helper()
	for {
		select {
		case <-done:
			return
		default:
		}
		got, err := q.Receive(b.Context(), queue.Receive{Max: queue.MaxBatch, Visibility: time.Minute, Wait: 50 * time.Millisecond})
		if err != nil {
			b.Error(err)
			return
		}
		if len(got) == 0 {
			continue
		}
		if _, err := q.Delete(b.Context(), receiptsOf(got)); err != nil {
			b.Error(err)
			return
		}
		if n := left.Add(-int64(len(got))); n == 0 {
			close(done)
		}
	}
}
