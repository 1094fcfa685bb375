package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// ScheduleConfig is what a Schedule is made of. Function, Rule and Interval are required.
type ScheduleConfig struct {
	Function Invoker
	// Rule is the name of the EventBridge rule.
	Rule string
	// Region and Account are in the events; default: us-east-1 and 000000000000.
	Region, Account string
	// Interval is the time between two events; the first comes after one.
	Interval time.Duration
	// Clock dates the events; default: time.Now. The interval is counted in real time.
	Clock func() time.Time
	// Logger gets the failures; default: none.
	Logger *slog.Logger
}

// Schedule calls a function at an interval, with the event of an EventBridge rule
// (docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html). It waits for no answer before the next event, as
// EventBridge does not; unlike Lambda, which tries an asynchronous event twice more, it leaves a failure to the next event.
type Schedule struct {
	cfg ScheduleConfig
}

// NewSchedule makes a schedule.
func NewSchedule(cfg ScheduleConfig) (*Schedule, error) {
	if cfg.Function == nil || cfg.Rule == "" || cfg.Interval <= 0 {
		return nil, errors.New("lambdahost: a schedule needs a function, the name of a rule and an interval")
	}
	cfg.Region, cfg.Account = orDefault(cfg.Region, defaultRegion), orDefault(cfg.Account, defaultAccount)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	cfg.Logger = orSilent(cfg.Logger).With(slog.String("rule", cfg.Rule))
	return &Schedule{cfg: cfg}, nil
}

// Run sends events until ctx ends; then it waits for the invocations under way and returns nil.
func (s *Schedule) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.Interval)
	defer ticker.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case <-ticker.C:
			event, err := s.event()
			if err != nil {
				return err
			}
			calls.Go(func() { s.call(context.WithoutCancel(ctx), event) })
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Schedule) call(ctx context.Context, event []byte) {
	if _, err := s.cfg.Function.Invoke(ctx, event); err != nil {
		s.cfg.Logger.Warn("a scheduled invocation failed", slog.Any("error", err))
	}
}

func (s *Schedule) event() ([]byte, error) {
	event, err := json.Marshal(events.CloudWatchEvent{
		Version: "0", ID: newUUID(), DetailType: "Scheduled Event", Source: "aws.events", AccountID: s.cfg.Account,
		Time: s.cfg.Clock().UTC().Truncate(time.Second), Region: s.cfg.Region,
		Resources: []string{fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", s.cfg.Region, s.cfg.Account, s.cfg.Rule)}, Detail: json.RawMessage("{}"),
	})
	if err != nil {
		return nil, fmt.Errorf("lambdahost: a scheduled event: %w", err)
	}
	return event, nil
}
