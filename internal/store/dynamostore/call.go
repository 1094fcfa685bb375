package dynamostore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// effect is what sending a request more than once does.
type effect uint8

const (
	// reads: nothing.
	reads effect = iota
	// once: it takes effect once, however often it is sent.
	once
	// again: it might take effect again, over what others wrote meanwhile.
	again
)

// request is what a call sends.
type request struct {
	// op says what is asked, for errors: "get", "commit", …
	op     string
	effect effect
	send   func(ctx context.Context) error
}

// call sends a request until DynamoDB gives a final answer, pausing between attempts with full jitter, until ctx ends or, if it has no
// deadline, Config.RetryFor is over. The SDK's own retries are off (single), for it does not tell a lost answer from a refusal.
//
// A final error is returned as the SDK has it, for the caller to explain. When there is no final answer the error is an
// *UnavailableError.
func (s *Store) call(ctx context.Context, r request) (t tries, err error) {
	start := time.Now()
	until, bounded := ctx.Deadline()
	if !bounded {
		until = start.Add(s.cfg.RetryFor)
	}
	for t = (tries{op: r.op, count: 1}); ; t.count++ {
		err := s.attempt(ctx, r.send)
		t.elapsed = time.Since(start)
		if err == nil {
			return t, nil
		}
		v := judge(err)
		if v == final {
			return t, err
		}
		t.doubt = t.doubt || v == unknown && r.effect != reads
		pause := s.pause(t.count)
		if ctx.Err() != nil || v == unknown && r.effect == again || time.Until(until) <= pause || !sleep(ctx, pause) {
			return t, s.unavailable(ctx, t, err)
		}
	}
}

// tries is what a call took.
type tries struct {
	op      string
	count   int
	elapsed time.Duration
	// doubt says that an attempt without a final answer may have taken effect.
	doubt bool
}

// unavailable says that what became of a call is open because of its last error.
func (s *Store) unavailable(ctx context.Context, t tries, err error) error {
	return &UnavailableError{
		Op: t.op, Table: s.cfg.Table, Attempts: t.count, Elapsed: t.elapsed, OutcomeUnknown: t.doubt, Err: err, Ended: ctx.Err(),
	}
}

// attempt sends a request once. It bounds the time, so that a connection into the void does not take all there is.
func (s *Store) attempt(ctx context.Context, send func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AttemptTimeout)
	defer cancel()
	return send(ctx)
}

// pause is how long to wait after the n-th attempt: a random part of a bound that doubles.
func (s *Store) pause(n int) time.Duration {
	bound := s.cfg.MaxPause
	if n < 16 {
		bound = min(bound, s.cfg.MinPause<<(n-1))
	}
	return rand.N(bound) + 1 //nolint:gosec // Not a secret.
}

// sleep returns false when ctx ends first.
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

// single turns the SDK's retries off for a request.
func single(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }
