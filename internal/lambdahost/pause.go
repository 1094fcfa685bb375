package lambdahost

import (
	"context"
	"time"
)

const (
	// firstPause and maxPause bound the pauses between attempts, which double.
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// pause waits longer each time it is asked to.
type pause struct {
	next time.Duration
}

// wait waits; it tells whether ctx has not ended meanwhile.
func (p *pause) wait(ctx context.Context) bool {
	p.next = min(max(2*p.next, firstPause), maxPause)
	return sleep(ctx, p.next)
}

// reset lets the next pause be short.
func (p *pause) reset() { p.next = 0 }

// sleep waits; it tells whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
