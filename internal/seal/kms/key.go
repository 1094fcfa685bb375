package kms

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

const (
	// attemptTimeout bounds one attempt, so that an answer which never comes leaves time for another.
	attemptTimeout = 2 * time.Second
	// firstPause and longestPause bound the pauses between attempts: the n-th is random, below firstPause × 2^(n-1).
	firstPause   = 25 * time.Millisecond
	longestPause = time.Second
)

// key is a KMS key and the client of its region.
type key struct {
	cfg    Config
	client *kms.Client
}

func newKey(cfg Config) (*key, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	client := kms.NewFromConfig(cfg.AWS, func(o *kms.Options) {
		o.Region = string(cfg.Region)
		o.Credentials = credentials{cfg.AWS.Credentials}
		// call repeats, and says why it gave up; the SDK's own retryer forgets that when the deadline comes in a pause.
		o.Retryer = aws.NopRetryer{}
	})
	return &key{cfg: cfg, client: client}, nil
}

// call makes a call of KMS until it succeeds, is refused for good, or time is up. do may be repeated.
func (k *key) call(caller context.Context, operation string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(caller, k.cfg.Timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := k.attempt(ctx, do)
		if err == nil {
			return nil
		}
		failure := k.failure(operation, err)
		if failed, ok := errors.AsType[*KeyError](failure); !ok || !failed.Reason.Temporary() {
			return failure
		}
		if pause(ctx, attempt) {
			continue
		}
		if caller.Err() != nil {
			return fmt.Errorf("%w, in %d attempts: %w", failure, attempt, context.Cause(caller))
		}
		return fmt.Errorf("%w, in %d attempts", failure, attempt)
	}
}

func (k *key) attempt(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return do(ctx)
}

// pause waits before the attempt after the n-th. It returns false when ctx ends first, or would.
func pause(ctx context.Context, n int) bool {
	limit := min(firstPause<<min(n-1, 10), longestPause)
	d := rand.N(limit) //nolint:gosec // it spreads callers, and is no secret
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
