package mount

import (
	"errors"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/rpc"
)

// compressFrom is the size in bytes from which answers are compressed for clients that take it.
const compressFrom = 1 << 10

// Config is what the handlers of a region are made with.
type Config struct {
	// Authenticator proves credentials. Required.
	Authenticator Authenticator
	// Replayer finds the answers of repeated mutations. Required.
	Replayer idempotency.Replayer
	// Tokens reads and makes consistency tokens; nil: those of requests are ignored, and answers have none.
	Tokens Tokens
	// Logger gets internal errors. Required.
	Logger *slog.Logger
	// Clock is time.Now in production. Required.
	Clock func() time.Time
	// Tracer makes the spans of handlers; nil: none are made.
	Tracer trace.TracerProvider
	// Propagator reads the caller's trace; needed with Tracer.
	Propagator propagation.TextMapPropagator
	// MaxBytes bounds a request's message; zero: rpc.DefaultMaxBytes.
	MaxBytes int
}

var errConfig = errors.New("mount: incomplete configuration")

func (c Config) maxBytes() int {
	if c.MaxBytes == 0 {
		return rpc.DefaultMaxBytes
	}
	return c.MaxBytes
}

// HandlerOptions returns what every generated NewXServiceHandler of a region is called with: codecs, limits and interceptors. The
// handler belongs behind the guard.
func HandlerOptions(cfg Config) ([]connect.HandlerOption, error) {
	if cfg.Authenticator == nil || cfg.Replayer == nil || cfg.Logger == nil || cfg.Clock == nil || cfg.maxBytes() < 0 {
		return nil, errConfig
	}
	validation, err := newValidation()
	if err != nil {
		return nil, err
	}
	chain := []connect.Interceptor{}
	if cfg.Tracer != nil {
		tracing, err := tracing(cfg)
		if err != nil {
			return nil, err
		}
		chain = append(chain, tracing)
	}
	// Outermost first. What is below mapping fails with errors of the domain; what is above sees codes.
	chain = append(chain,
		headers{clock: cfg.Clock},
		mapping{logger: cfg.Logger},
		reached(),
		recovery{},
		authentication(cfg.Authenticator),
	)
	if cfg.Tokens != nil {
		chain = append(chain, sessions{tokens: cfg.Tokens})
	}
	chain = append(chain, validation, repetition{replayer: cfg.Replayer})
	return append(codecOptions(),
		connect.WithInterceptors(chain...),
		connect.WithReadMaxBytes(cfg.maxBytes()),
		connect.WithCompressMinBytes(compressFrom),
	), nil
}
