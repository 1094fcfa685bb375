package lambdahost_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []events.CloudWatchEvent
		ids := map[string]bool{}
		var mu sync.Mutex
		s, err := lambdahost.NewSchedule(lambdahost.ScheduleConfig{
			Rule: "sweep", Region: "sa-east-1", Interval: time.Minute,
			Function: invokerFunc(func(_ context.Context, raw []byte) ([]byte, error) {
				var e events.CloudWatchEvent
				if err := json.Unmarshal(raw, &e); err != nil {
					return nil, err
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, e)
				ids[e.ID] = true
				return nil, errors.New("a failure does not end the schedule")
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		begun := time.Now().UTC().Truncate(time.Second)
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		want := events.CloudWatchEvent{
			Version: "0", DetailType: "Scheduled Event", Source: "aws.events", AccountID: "000000000000", Region: "sa-east-1",
			Resources: []string{"arn:aws:events:sa-east-1:000000000000:rule/sweep"}, Detail: json.RawMessage("{}"),
		}
		first, second := want, want
		first.Time, second.Time = begun.Add(time.Minute), begun.Add(2*time.Minute)
		if diff := cmp.Diff([]events.CloudWatchEvent{first, second}, got, cmpopts.IgnoreFields(events.CloudWatchEvent{}, "ID")); diff != "" {
			t.Error(diff)
		}
		if len(ids) != 2 {
			t.Errorf("ids %v", ids)
		}
	})
}

// An invocation that lasts does not delay the next, and Run waits for it.
func TestScheduleDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var begun, ended atomic.Int64
		s, err := lambdahost.NewSchedule(lambdahost.ScheduleConfig{Rule: "sweep", Interval: time.Second, Function: invokerFunc(func(context.Context, []byte) ([]byte, error) {
			begun.Add(1)
			time.Sleep(time.Minute)
			ended.Add(1)
			return nil, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		if err := s.Run(ctx); err != nil || begun.Load() != 5 || ended.Load() != 5 {
			t.Errorf("%d began, %d ended, %v", begun.Load(), ended.Load(), err)
		}
	})
}

func TestScheduleConfigThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []lambdahost.ScheduleConfig{
		{Rule: "r", Interval: 1}, {Function: answering(""), Interval: 1}, {Function: answering(""), Rule: "r"},
	} {
		if _, err := lambdahost.NewSchedule(cfg); err == nil {
			t.Errorf("%+v: accepted", cfg)
		}
	}
}
