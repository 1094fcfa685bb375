package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// DefaultSettle is how long nothing must have changed before a Keeper saves.
	DefaultSettle = time.Second
	// settleAtMost is how many times that a Keeper waits when changes do not end.
	settleAtMost = 10
)

// KeeperConfig is what a Keeper is made of.
type KeeperConfig struct {
	// Copy is where it is kept.
	Copy Copy
	// Index has what is saved, Follower how far it goes.
	Index    *Index
	Follower *Follower
	// Settle is how long nothing must have changed before a save; DefaultSettle when zero. A save waits ten times that at the
	// most.
	Settle time.Duration
	// Logger gets failures to save; nothing is logged without it.
	Logger *slog.Logger
}

// Keeper keeps the last good copy of an index.
type Keeper struct{ cfg KeeperConfig }

// NewKeeper returns a keeper.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Settle <= 0 {
		cfg.Settle = DefaultSettle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{cfg: cfg}
}

// Save saves the copy now, unless the one that is kept goes at least as far.
func (k *Keeper) Save(ctx context.Context) error {
	err := saveCopy(ctx, k.cfg.Copy, k.cfg.Index, k.cfg.Follower)
	if errors.Is(err, ErrNotNewer) {
		return nil
	}
	return err
}

func saveCopy(ctx context.Context, kept Copy, x *Index, f *Follower) error {
	// The positions come first: what is applied after them may be in the copy, what came before is.
	positions := f.Positions()
	return kept.Save(ctx, positions, x.Records())
}

// Run saves after changes until ctx ends, whose error it returns, after a last save if one is due. A failed save is tried again
// after the next settling.
func (k *Keeper) Run(ctx context.Context) error {
	// What was applied before the first look is a change too.
	changed := len(k.cfg.Follower.Positions()) > 0
	moved := k.cfg.Follower.Moved()
	for {
		if !changed {
			select {
			case <-moved:
			case <-ctx.Done():
				select {
				case <-moved: // Both at once: save first.
				default:
					return fmt.Errorf("keeping the directory: %w", ctx.Err())
				}
			}
		}
		k.settle(ctx)
		moved = k.cfg.Follower.Moved()
		err := k.Save(context.WithoutCancel(ctx)) // The last save comes after the end.
		if err != nil {
			k.cfg.Logger.ErrorContext(ctx, "the directory's last good copy could not be saved", slog.Any("error", err))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("keeping the directory: %w", ctx.Err())
		}
		changed = err != nil
	}
}

// settle waits until nothing has changed for a while, or it has waited long enough, or ctx ends.
func (k *Keeper) settle(ctx context.Context) {
	quiet := time.NewTimer(k.cfg.Settle)
	defer quiet.Stop()
	enough := time.NewTimer(settleAtMost * k.cfg.Settle)
	defer enough.Stop()
	for {
		select {
		case <-k.cfg.Follower.Moved():
			quiet.Reset(k.cfg.Settle)
		case <-quiet.C:
			return
		case <-enough.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
