package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// transactionLatency is what a transaction is taken to last on AWS.
const transactionLatency = 10 * time.Millisecond

// commitRows measures how fast one tenant writes when each transaction takes its time: its lanes commit side by side, and what waits for a
// lane shares the next transaction.
func commitRows(ctx context.Context, o options, t *table) error {
	writers := []int{1, 64, 1024}
	rates, shared := make([]series, len(writers)), make([]series, len(writers))
	for range o.awsRounds {
		for i, n := range writers {
			rate, batch, err := commitRate(ctx, n, 3*o.round)
			if err != nil {
				return fmt.Errorf("measuring the commits of %d writers: %w", n, err)
			}
			rates[i], shared[i] = append(rates[i], rate), append(shared[i], batch)
		}
	}
	for i, n := range writers {
		t.add(row{
			name:   fmt.Sprintf("creates of one tenant, transactions of %v, %d writers", transactionLatency, n),
			figure: rates[i].spread("commits/s"), beside: "a transaction has " + shared[i].spread("of them"),
		})
	}
	return nil
}

// commitRate returns the creates a second, and how many of them shared a transaction.
func commitRate(ctx context.Context, writers int, d time.Duration) (rate, batch float64, err error) {
	c := newCloud()
	e, err := newEngine(c)
	if err != nil {
		return 0, 0, err
	}
	if err := e.warm(ctx); err != nil {
		return 0, 0, err
	}
	c.latency = transactionLatency
	mark := c.mark()
	var done atomic.Int64
	errs := make(chan error, writers)
	var wg sync.WaitGroup
	begin := time.Now()
	for range writers {
		wg.Go(func() {
			for time.Since(begin) < d {
				if _, err := e.create(ctx, 0); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin)
	close(errs)
	if err := <-errs; err != nil {
		return 0, 0, err
	}
	transactions := 0
	for _, call := range c.since(mark) {
		if call.operation == "TransactWriteItems" {
			transactions++
		}
	}
	return float64(done.Load()) / elapsed.Seconds(), float64(done.Load()) / float64(max(transactions, 1)), e.engine.Close(ctx)
}
