package residency

import (
	"context"
	"fmt"
	"log/slog"
)

// NewLogHandler returns a handler that passes records on to next with every protobuf message in them redacted (see Redact),
// wherever it is: in groups, slices, maps, pointers, structs, LogValuers and errors. Of a fault it shows reason, message and,
// under its own key, the cause. Texts are passed on as they are: code must not format messages itself, which archtest forbids.
func NewLogHandler(next slog.Handler) slog.Handler {
	return &logHandler{next: next}
}

type logHandler struct{ next slog.Handler }

// Enabled asks the next handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle redacts the record's attributes and passes it on.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	safe := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		safe.AddAttrs(redactAttr(a, maxLogDepth))
		return true
	})
	if err := h.next.Handle(ctx, safe); err != nil {
		return fmt.Errorf("passing a redacted log record on: %w", err)
	}
	return nil
}

// WithAttrs redacts the attributes once and passes them on.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	safe := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		safe[i] = redactAttr(a, maxLogDepth)
	}
	return &logHandler{next: h.next.WithAttrs(safe)}
}

// WithGroup passes the group on.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{next: h.next.WithGroup(name)}
}

func redactAttr(a slog.Attr, depth int) slog.Attr {
	return slog.Attr{Key: a.Key, Value: redactValue(a.Value, depth)}
}

// redactValue resolves a value and redacts what it holds. A message is looked for before LogValuer is asked: what a message
// says of itself is not what a log may show.
func redactValue(v slog.Value, depth int) slog.Value {
	if depth == 0 {
		return slog.StringValue(omitted)
	}
	if v.Kind() == slog.KindLogValuer {
		if safe, ok := redactKnown(v.Any()); ok {
			return safe
		}
		v = v.Resolve()
	}
	switch v.Kind() {
	case slog.KindGroup:
		attrs := make([]slog.Attr, len(v.Group()))
		for i, a := range v.Group() {
			attrs[i] = redactAttr(a, depth-1)
		}
		return slog.GroupValue(attrs...)
	case slog.KindAny:
		return redactAny(v.Any(), depth)
	default:
		return v
	}
}
