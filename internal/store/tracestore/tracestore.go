// Package tracestore is a decorator of the port internal/store that makes a span of each call. The span continues the trace that the
// context carries, so one trace covers edge, service and commit. Its attributes are the table's name and numbers, never a key
// or a value.
package tracestore

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/domicile-api/domicile/internal/store"
)

// Store is a table whose calls are traced.
type Store struct {
	inner  store.Store
	tracer trace.Tracer
	table  attribute.KeyValue
}

var _ store.Store = (*Store)(nil)

// New returns a table that makes spans with the provider and is inner in all else.
func New(inner store.Store, provider trace.TracerProvider, table string) *Store {
	return &Store{
		inner: inner, tracer: provider.Tracer("github.com/domicile-api/domicile/internal/store"),
		table: attribute.String("domicile.table", table),
	}
}

// begin starts a span; end it with the call's error.
func (s *Store) begin(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	attrs = append(attrs, s.table)
	ctx, span := s.tracer.Start( //nolint:spancheck // The function that is returned ends it.
		ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	return ctx, func(err error) { //nolint:spancheck // See above.
		if err != nil {
			span.SetStatus(codes.Error, "") // The text may say more than a trace may hold.
		}
		span.End()
	}
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key store.Key) (store.Item, error) {
	ctx, end := s.begin(ctx, "store.get")
	item, err := s.inner.Get(ctx, key)
	end(err)
	return item, err
}

// Query implements store.Store.
func (s *Store) Query(ctx context.Context, q store.Query) (store.Page, error) {
	ctx, end := s.begin(ctx, "store.query")
	page, err := s.inner.Query(ctx, q)
	end(err)
	return page, err
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, c store.Commit) error {
	ctx, end := s.begin(ctx, "store.commit", attribute.Int("domicile.operations", len(c.Ops)))
	err := s.inner.Commit(ctx, c)
	end(err)
	return err
}

// Changes implements store.Store. A feed is no call, so it has no span.
func (s *Store) Changes(ctx context.Context, fn func([]store.Change) error) error {
	return s.inner.Changes(ctx, fn)
}
