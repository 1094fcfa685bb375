package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal/local"
)

const (
	// tokenKeysInterval is how often the control region looks after the token keys.
	tokenKeysInterval = time.Minute
	// tokenKeysRetry is how soon it looks again while a region has not got its copy.
	tokenKeysRetry = 50 * time.Millisecond
)

// tokens are a region's part in consistency: what it authenticates tokens with, what its services do with them, and what lets its replica
// answer.
type tokens struct {
	ring    *consistency.Ring
	keys    consistency.Codes
	service *consistency.Tokens
	gate    *consistency.Gate
	// keeper is the control region's alone.
	keeper *consistency.Keeper
	region *region
}

// newTokens puts them together.
func newTokens(r *region, cfg Config) (*tokens, error) {
	unwrap := func(wrapped, info []byte) ([]byte, error) {
		return r.wrapper.Unwrap(context.Background(), tokenContext(info), wrapped)
	}
	t := &tokens{region: r}
	t.ring = consistency.NewRing(consistency.RingConfig{
		Region: r.id, Source: r.directory.Index, Unwrap: unwrap, Clock: cfg.Clock, Logger: r.logger,
	})
	t.keys = consistency.NewCodes(t.ring)
	var regions []ident.RegionID
	for _, i := range cfg.Topology.Regions() {
		regions = append(regions, cfg.Topology.ID(i))
	}
	codec, err := consistency.NewCodec(consistency.CodecConfig{Keys: t.ring, Regions: regions})
	if err != nil {
		return nil, fmt.Errorf("making the tokens of %s: %w", r.id, err)
	}
	t.service, err = consistency.NewTokens(consistency.TokensConfig{
		Codec: codec, Clock: cfg.Clock, Refresh: r.directory.Follower.Poll,
		History: func(tenant ident.TenantID) consistency.History {
			known, _ := r.directory.Index.Tenant(string(tenant))
			return consistency.History{Present: known.Epoch}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the tokens of %s: %w", r.id, err)
	}
	t.gate, err = consistency.NewGate(consistency.GateConfig{
		Codec: codec, Topology: cfg.Topology, Replica: r.sync, Streams: consistency.HomeLanes, Staleness: r.sync.Staleness, Logger: r.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("making the gate of %s: %w", r.id, err)
	}
	if r.index == cfg.Topology.Control() {
		t.keeper = consistency.NewKeeper(consistency.KeeperConfig{
			Region: r.id, Writer: r.writer, Regions: regions, WrappingKey: r.directory.Index.WrappingKey,
			Wrap: t.wrap(regions), Unwrap: unwrap,
			Clock: cfg.Clock, Random: cfg.Random,
		})
	}
	return t, nil
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
			// Most often a region has not published its wrapping key yet.
			t.region.logger.DebugContext(ctx, "not every region has its copy of the token key", slog.Any("error", err))
			pause = tokenKeysRetry
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// sleep returns false when ctx ends before the time is over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
