package consistency

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
)

// How long a key is used, and how long its tokens are accepted, from when it was made.
const (
	DefaultRotateEvery = 30 * 24 * time.Hour
	DefaultAcceptFor   = 60 * 24 * time.Hour
	// mostWrites bounds one EnsureKey: what is left is done by the next.
	mostWrites = 32
)

// Writer appends to the control region's log; directory.Writer is one.
type Writer interface {
	// Write appends the record that decide returns; nothing if it returns none.
	Write(ctx context.Context, decide func(context.Context, directory.View) (*directoryv1.Record, error)) (*directoryv1.Record, error)
}

// KeeperConfig is what a Keeper is made of. All of it is required but the durations.
type KeeperConfig struct {
	// Region is the control region, whose own copies the keeper opens; Writer is its writer.
	Region ident.RegionID
	Writer Writer
	// Regions are all regions of the topology: each gets a copy.
	Regions []ident.RegionID
	// WrappingKey returns the public half of a region's wrapping key, if it has published one; directory.Index has it.
	WrappingKey func(region ident.RegionID) ([]byte, bool)
	// Wrap encrypts a secret so that only the holder of a wrapping key's private half can open it, under the same info.
	Wrap func(wrappingKey, secret, info []byte) ([]byte, error)
	// Unwrap opens what was wrapped for the control region.
	Unwrap func(wrapped, info []byte) ([]byte, error)
	// Clock says when a key is due. Random makes keys; crypto/rand.Reader in production.
	Clock  func() time.Time
	Random io.Reader
	// RotateEvery and AcceptFor: see their defaults.
	RotateEvery, AcceptFor time.Duration
}

// Keeper keeps the token keys in the directory: it makes them, gives each region its copy, and retires them.
type Keeper struct{ cfg KeeperConfig }

// NewKeeper returns a keeper.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.RotateEvery <= 0 {
		cfg.RotateEvery = DefaultRotateEvery
	}
	if cfg.AcceptFor <= cfg.RotateEvery {
		cfg.AcceptFor = max(DefaultAcceptFor, 2*cfg.RotateEvery)
	}
	return &Keeper{cfg: cfg}
}

// EnsureKey does what is due: it makes the first key, adds copies for regions that have come or have another wrapping key, makes a new
// key when the newest is RotateEvery old, says when the one before stops being accepted, and takes the copies of retired ones out. It
// returns how many records it wrote. Any number of processes may call it at once, and a loop calls it every minute or so.
//
// A region whose copy cannot be made delays no other; its error is returned with what else was done.
func (k *Keeper) EnsureKey(ctx context.Context) (written int, err error) {
	for range mostWrites {
		s := step{cfg: &k.cfg, now: k.cfg.Clock()}
		record, err := k.cfg.Writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
			keys, err := v.TokenKeys(ctx)
			if err != nil {
				return nil, err
			}
			s.problems = nil
			key, err := s.next(keys)
			if key == nil || err != nil {
				return nil, err
			}
			return &directoryv1.Record{Subject: &directoryv1.Record_TokenKey{TokenKey: key}}, nil
		})
		if err != nil {
			return written, fmt.Errorf("keeping the token keys: %w", err)
		}
		if record == nil {
			return written, errors.Join(s.problems...)
		}
		written++
	}
	return written, nil
}

// step decides what the next record is.
type step struct {
	cfg      *KeeperConfig
	now      time.Time
	problems []error
}

// next returns the key that is to be written, or nil. Keys are the newest first.
func (s *step) next(keys []*directoryv1.TokenKey) (*directoryv1.TokenKey, error) {
	if len(keys) == 0 {
		return s.fresh(1)
	}
	for i, key := range keys[1:] {
		if key.GetRetireTime() == nil {
			// On schedule this is AcceptFor after the key was made. A late successor does not cut short what it comes after.
			ended := proto.CloneOf(key)
			ended.RetireTime = timestamppb.New(keys[i].GetCreateTime().AsTime().Add(s.cfg.AcceptFor - s.cfg.RotateEvery))
			return ended, nil
		}
	}
	newest := keys[0]
	if s.now.Sub(newest.GetCreateTime().AsTime()) >= s.cfg.RotateEvery {
		return s.fresh(newest.GetId() + 1)
	}
	for _, key := range keys {
		changed, err := s.copies(key)
		switch {
		case changed != nil:
			return changed, nil
		case err != nil && key == newest:
			// The control region cannot open its own copy, so nobody can be given one: everybody gets a new key.
			return s.fresh(newest.GetId() + 1)
		case err != nil:
			s.problems = append(s.problems, err)
		}
	}
	return nil, nil //nolint:nilnil // Nothing is due.
}

// fresh makes a new key with copies for all regions that can be given one, the control region among them.
func (s *step) fresh(id uint32) (*directoryv1.TokenKey, error) {
	var secret Secret
	if _, err := io.ReadFull(s.cfg.Random, secret.bytes[:]); err != nil {
		return nil, fmt.Errorf("making a token key: %w", err)
	}
	key := &directoryv1.TokenKey{Id: id, CreateTime: timestamppb.New(s.now), Copies: s.wrapAll(id, nil, &secret)}
	wrapped, ok := copyFor(key, s.cfg.Region)
	if !ok {
		return nil, errors.Join(append(s.problems, errors.New("the control region has no wrapping key to keep a token key with"))...)
	}
	// A key that this region cannot open again would be replaced at the next look, and the next.
	if opened, err := unwrap(s.cfg.Unwrap, id, s.cfg.Region, wrapped); err != nil || opened != secret {
		return nil, errors.Join(errors.New("the control region's wrapping key does not open what it wraps"), err)
	}
	return key, nil
}

// copies returns the key with the copies that it should have, or nil if it has them.
func (s *step) copies(key *directoryv1.TokenKey) (*directoryv1.TokenKey, error) {
	changed := proto.CloneOf(key)
	if retired(key, s.now) {
		changed.Copies = nil
	} else {
		if !s.lacking(key) {
			return nil, nil //nolint:nilnil // Nothing is due.
		}
		wrapped, ok := copyFor(key, s.cfg.Region)
		if !ok {
			return nil, fmt.Errorf("token key %d has no copy for the control region", key.GetId())
		}
		secret, err := unwrap(s.cfg.Unwrap, key.GetId(), s.cfg.Region, wrapped)
		if err != nil {
			return nil, err
		}
		changed.Copies = s.wrapAll(key.GetId(), key, &secret)
	}
	if proto.Equal(changed, key) {
		return nil, nil //nolint:nilnil // Nothing is due, or nothing can be done.
	}
	return changed, nil
}

// lacking tells whether a region has no copy under its present wrapping key, or a copy is of a region that is no more.
func (s *step) lacking(key *directoryv1.TokenKey) bool {
	for _, c := range key.GetCopies() {
		if !slices.Contains(s.cfg.Regions, ident.RegionID(c.GetRegion())) {
			return true
		}
	}
	for _, region := range s.cfg.Regions {
		if wrapping, ok := s.cfg.WrappingKey(region); ok && !current(key, region, wrapping) {
			return true
		}
	}
	return false
}

// current tells whether a region's copy was made with that wrapping key.
func current(key *directoryv1.TokenKey, region ident.RegionID, wrapping []byte) bool {
	wrapped, ok := copyFor(key, region)
	want := printOf(wrapping)
	return ok && bytes.Equal(wrapped[:printBytes], want[:])
}

// wrapAll returns the copies of a key for all regions: those of before that still do, and new ones. A region whose wrapping key is not
// known, or does not work, keeps the copy that it had.
func (s *step) wrapAll(id uint32, before *directoryv1.TokenKey, secret *Secret) []*directoryv1.TokenKeyCopy {
	var copies []*directoryv1.TokenKeyCopy
	for _, region := range s.cfg.Regions {
		old, had := copyFor(before, region)
		if wrapping, known := s.cfg.WrappingKey(region); known && !current(before, region, wrapping) {
			wrapped, err := s.cfg.Wrap(wrapping, secret.bytes[:], infoOf(id, region))
			if err == nil {
				mark := printOf(wrapping)
				copies = append(copies, &directoryv1.TokenKeyCopy{Region: string(region), Wrapped: append(mark[:], wrapped...)})
				continue
			}
			s.problems = append(s.problems, fmt.Errorf("wrapping token key %d for %s: %w", id, region, err))
		}
		if had {
			copies = append(copies, &directoryv1.TokenKeyCopy{Region: string(region), Wrapped: old})
		}
	}
	return copies
}
