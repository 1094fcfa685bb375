package tracestore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/storetest"
	"github.com/domicile-api/domicile/internal/store/tracestore"
)

// closable is a table whose store the suite can close.
type closable struct {
	store.Store

	db *pebblestore.DB
}

func open(t *testing.T, clock func() time.Time) *pebblestore.DB {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) store.Store {
		t.Helper()
		db := open(t, clock)
		return closable{tracestore.New(db.Table("regional"), noop.NewTracerProvider(), "regional"), db}
	}, storetest.Options{Close: func(s store.Store) error { return s.(closable).db.Close() }})
}

// The spans of a call are children of the span that it was made under, and hold no key and no value.
func TestSpansContinueTheTrace(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	s := tracestore.New(open(t, time.Now).Table("regional"), provider, "regional")
	ctx, call := provider.Tracer("test").Start(t.Context(), "call")
	item := store.Item{Key: store.Key{Partition: "canary", Sort: "canary"}, Tag: store.Tag{Class: store.ClassPII}, Value: []byte("canary")}
	if err := s.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, item.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Query(ctx, store.Query{}); err == nil {
		t.Fatal("a query of no partition is answered")
	}
	call.End()
	ended := recorder.Ended()
	names := make([]string, 0, len(ended))
	for _, span := range ended {
		names = append(names, span.Name()+" "+span.Status().Code.String())
		if span.Name() != "call" && span.Parent().SpanID() != call.SpanContext().SpanID() {
			t.Errorf("%s is not a child of the call", span.Name())
		}
		if text := fmt.Sprint(span.Attributes(), span.Status(), span.Events()); strings.Contains(text, "canary") {
			t.Errorf("%s holds the canary: %s", span.Name(), text)
		}
	}
	if got := strings.Join(names, ", "); got != "store.commit Unset, store.get Unset, store.query Error, call Unset" {
		t.Errorf("spans: %s", got)
	}
}
