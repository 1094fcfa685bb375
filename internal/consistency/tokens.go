package consistency

import (
	"context"
	"errors"
	"sync"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// refreshAtMost is how often the directory's table is asked because of tokens that are not known.
	refreshAtMost = time.Second
	// notYet is after how long a client may come again with a token that could not be judged.
	notYet = time.Second
)

// TokensConfig is what Tokens are made of.
type TokensConfig struct {
	// Codec makes and reads tokens. Required.
	Codec *Codec
	// History returns what is known here of a tenant's ownership. Required.
	History func(tenant ident.TenantID) History
	// Refresh brings the directory here up to its table before the home refuses a token; it returns nil when that is done. It is called
	// at most once a second. Nil: the directory here counts as up to date.
	Refresh func(ctx context.Context) error
	// Clock is time.Now in production. Required.
	Clock func() time.Time
}

// Tokens are what a region's services do with tokens: they read those of a request, and make the one of the answer. It is safe for
// concurrent use.
type Tokens struct {
	cfg TokensConfig

	mu        sync.Mutex // of refreshed
	refreshed time.Time
}

// NewTokens returns tokens.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	if cfg.Codec == nil || cfg.History == nil || cfg.Clock == nil {
		return nil, errors.New("consistency: tokens need a codec, a history and a clock")
	}
	return &Tokens{cfg: cfg}, nil
}

// Floor returns what the answer's token must cover at the least: what the request's tokens do. It fails as Codec.Needed and
// ParseWishes, but what cannot be judged here is at the tenant's home either TOKEN_INVALID (the directory is up to date, and there is no
// such key) or REGION_UNAVAILABLE; elsewhere it takes the call home (call.Call.NotHere).
func (t *Tokens) Floor(ctx context.Context, c *call.Call, h Headers) (ident.Positions, error) {
	if _, err := ParseWishes(h); err != nil {
		return ident.Positions{}, err
	}
	floor, err := t.needed(c, h)
	if !unjudged(err) {
		return floor, err
	}
	if c.Region != c.Home {
		c.NotHere = true
		return ident.Positions{}, later(err)
	}
	if refreshErr := t.refresh(ctx); refreshErr != nil {
		return ident.Positions{}, later(errors.Join(err, refreshErr))
	}
	floor, err = t.needed(c, h)
	switch {
	case !unjudged(err):
		return floor, err
	case errors.Is(err, ErrUnknownKey) && !errors.Is(err, errSealedKey):
		return ident.Positions{}, invalid("its key is none of the platform's")
	default:
		return ident.Positions{}, later(err)
	}
}

func (t *Tokens) needed(c *call.Call, h Headers) (ident.Positions, error) {
	if len(h.Values(Header)) == 0 {
		return ident.Positions{}, nil
	}
	return t.cfg.Codec.Needed(c.Tenant, h, t.cfg.History(c.Tenant))
}

func unjudged(err error) bool { return errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrNewerEpoch) }

func later(cause error) error {
	f := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, cause, "a consistency token cannot be judged in this region yet")
	f.RetryAfter = notYet
	return f
}

func (t *Tokens) refresh(ctx context.Context) error {
	if t.cfg.Refresh == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.cfg.Clock()
	if !t.refreshed.IsZero() && now.Sub(t.refreshed) < refreshAtMost {
		return nil
	}
	if err := t.cfg.Refresh(ctx); err != nil {
		return err
	}
	t.refreshed = now
	return nil
}

// Cover returns the token of an answer: it covers the floor, what the answer shows, and what the call wrote. False if there is nothing
// to say, or no key to say it with.
func (t *Tokens) Cover(c *call.Call, floor ident.Positions) (string, bool) {
	p := Cover(floor, c.Seen)
	if w := c.Committed; w != nil && w.Lane < ident.Lanes {
		written := ident.Positions{Epoch: w.Epoch}
		written.Lanes[w.Lane] = w.Seq
		p = Cover(p, written)
	}
	if nothing(&p) {
		return "", false
	}
	token, err := t.cfg.Codec.Mint(c.Tenant, p)
	return token, err == nil
}
