package lambdahost

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// invocation is one event on its way through an instance.
type invocation struct {
	id, arn, trace string
	event          []byte
	deadline       time.Time
	// init is how long the instance took to start for it.
	init time.Duration

	once     sync.Once
	finished chan struct{}
	answer   []byte
	err      error
}

func newInvocation(event []byte) *invocation {
	return &invocation{id: newUUID(), trace: newTrace(time.Now()), event: event, finished: make(chan struct{})}
}

// finish says how it ended; the first to say so is right.
func (inv *invocation) finish(answer []byte, err error) {
	inv.once.Do(func() {
		inv.answer, inv.err = answer, err
		close(inv.finished)
	})
}

func (inv *invocation) isFinished() bool {
	select {
	case <-inv.finished:
		return true
	default:
		return false
	}
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newTrace returns an X-Ray trace header that is not sampled.
func newTrace(now time.Time) string {
	return "Root=" + newTraceRoot(now) + ";Parent=" + randomHex(8) + ";Sampled=0"
}

// newTraceRoot returns an X-Ray trace id: a version, the time in seconds and 96 random bits.
func newTraceRoot(now time.Time) string { return fmt.Sprintf("1-%08x-%s", now.Unix(), randomHex(12)) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
