//go:build aws

package dynamostore_test

import (
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/store/dynamostore/dynamotest"
	"github.com/domicile-api/domicile/internal/store/storetest"
)

// config has the pace of an emulator: it is slow, and has no limit of reads a second.
func config(table dynamotest.Table) dynamostore.Config {
	return dynamostore.Config{
		Table: table.Name, Client: table.Client, Streams: table.Streams, AttemptTimeout: time.Minute, RetryFor: time.Minute,
		PollPause: 20 * time.Millisecond, MaxPollPause: 100 * time.Millisecond, PollInterval: time.Millisecond,
	}
}

func open(t *testing.T, cfg dynamostore.Config) *dynamostore.Store {
	t.Helper()
	s, err := dynamostore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
		t.Helper()
		cfg := config(dynamotest.NewTable(t, dynamotest.Options{}))
		cfg.Clock = clock
		return open(t, cfg)
	}, storetest.Options{OwnTokenClock: true})
}
