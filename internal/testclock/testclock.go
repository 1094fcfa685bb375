// Package testclock has a clock that stands until a test moves it. The conformance suites of the ports give it to the adapters.
package testclock

import (
	"sync"
	"time"
)

// Clock stands until it is moved. Several goroutines may use it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// New returns a clock that stands at a time with a fraction of a second, so that rounding shows.
func New() *Clock { return &Clock{now: time.Unix(1_700_000_000, 250_000_000).UTC()} }

// Read returns the time.
func (c *Clock) Read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Move moves the clock on.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
