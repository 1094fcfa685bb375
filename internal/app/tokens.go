package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal/local"
)

const (
	// tokenKeysInterval is how often the control region looks after the token keys.
	tokenKeysInterval = time.Minute
	// tokenKeysRetry is how soon it looks again when it could not do what is due.
	tokenKeysRetry = time.Second
)

// tokens are a region's part in consistency: what it authenticates tokens with, what its services do with them, and what lets its replica
// answer.
type tokens struct {
	ring    *consistency.Ring
	codec   *consistency.Codec
	keys    consistency.Codes
	service *consistency.Tokens
	gate    *consistency.Gate
	// keeper is the control region's alone.
	keeper *consistency.Keeper
	region *region
	// bell rings when a region has published keys.
	bell chan struct{}
}

// Apply hears of records that are new in the directory; it is a directory.Sink.
func (t *tokens) Apply(records []*directoryv1.Record) {
	for _, r := range records {
		if r.GetRegionKeys() == nil {
			continue
		}
		select {
		case t.bell <- struct{}{}:
		default: // It rings already.
		}
	}
}

// newTokens is what there is of them before the region has a directory.
func newTokens(r *region) *tokens { return &tokens{region: r, bell: make(chan struct{}, 1)} }

// openTokens puts them together.
func (r *region) openTokens(cfg Config) error {
	unwrap := func(wrapped, info []byte) ([]byte, error) {
		return r.res.OwnKey.Unwrap(context.Background(), tokenContext(info), wrapped)
	}
	t := r.tokens
	t.ring = consistency.NewRing(consistency.RingConfig{
		Region: r.id, Source: r.directory.Index, Unwrap: unwrap, Clock: cfg.Clock, Logger: r.logger,
	})
	t.keys = consistency.NewCodes(t.ring)
	regions := cfg.Topology.IDs()
	var err error
	t.codec, err = consistency.NewCodec(consistency.CodecConfig{Keys: t.ring, Regions: regions})
	if err != nil {
		return fmt.Errorf("making the tokens of %s: %w", r.id, err)
	}
	t.service, err = consistency.NewTokens(consistency.TokensConfig{
		Codec: t.codec, Clock: cfg.Clock, Refresh: r.directory.Follower.Poll,
		History: func(tenant ident.TenantID) consistency.History {
			known, _ := r.directory.Index.Tenant(string(tenant))
			return consistency.History{Present: known.Epoch}
		},
	})
	if err != nil {
		return fmt.Errorf("making the tokens of %s: %w", r.id, err)
	}
	t.gate, err = consistency.NewGate(consistency.GateConfig{
		Codec: t.codec, Topology: cfg.Topology, Replica: r.sync, Streams: consistency.HomeLanes, Staleness: r.sync.Staleness, Logger: r.logger,
	})
	if err != nil {
		return fmt.Errorf("making the gate of %s: %w", r.id, err)
	}
	if r.index == cfg.Topology.Control() {
		t.keeper = consistency.NewKeeper(consistency.KeeperConfig{
			Region: r.id, Writer: r.writer, Regions: regions, WrappingKey: r.directory.Index.WrappingKey,
			Wrap: t.wrap(regions), Unwrap: unwrap,
			Clock: cfg.Clock, Random: cfg.Random,
		})
	}
	return nil
}

// tokenContext is what a token key is bound to in the place of a tenant: no tenant's id has such a form.
func tokenContext(info []byte) ident.TenantID {
	return ident.TenantID("\x00token key\x00" + string(info))
}

// wrap returns what wraps a token key for the region whose wrapping key it is given.
func (t *tokens) wrap(regions []ident.RegionID) func(wrappingKey, secret, info []byte) ([]byte, error) {
	return func(wrappingKey, secret, info []byte) ([]byte, error) {
		for _, region := range regions {
			if key, ok := t.region.directory.Index.WrappingKey(region); !ok || !bytes.Equal(key, wrappingKey) {
				continue
			}
			recipient, err := local.NewRecipient(region, wrappingKey)
			if err != nil {
				return nil, fmt.Errorf("reading the wrapping key of %s: %w", region, err)
			}
			return recipient.Wrap(context.Background(), tokenContext(info), secret)
		}
		return nil, errors.New("the wrapping key has changed meanwhile")
	}
}

// ready returns nil when the region can authenticate tokens.
func (t *tokens) ready() error {
	if _, _, ok := t.ring.Newest(); !ok {
		return errStarting
	}
	return nil
}

// run looks after the token keys, in the control region.
func (t *tokens) run(r *region) {
	if t.keeper != nil {
		r.loop("token keys", t.keep)
	}
}

func (t *tokens) keep(ctx context.Context) error {
	for {
		pause := tokenKeysInterval
		if _, err := t.keeper.EnsureKey(ctx); err != nil {
			t.region.logger.WarnContext(ctx, "the token keys could not be looked after; it is tried again", slog.Any("error", err))
			pause = tokenKeysRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-t.bell:
			timer.Stop()
		}
	}
}
