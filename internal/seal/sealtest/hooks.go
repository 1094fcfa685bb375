package sealtest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// hook stands between a keyring and each effect that it has outside its memory: it does the effect, delays it or fails it. A
// context carries it, so that it follows an operation through the regions that it reaches.
type hook func(do func() error) error

type hookKey struct{}

func withHook(ctx context.Context, h hook) context.Context {
	return context.WithValue(ctx, hookKey{}, h)
}

func effect(ctx context.Context, effect func() error) error {
	do := func() error {
		// As over a network: nothing is done for who has gone.
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return effect()
	}
	if h, ok := ctx.Value(hookKey{}).(hook); ok {
		return h(do)
	}
	return do()
}

// hookedStore is a keys table; a Keyring only queries and commits.
type hookedStore struct {
	store.Store

	commits *atomic.Uint64
}

func (s hookedStore) Query(ctx context.Context, q store.Query) (page store.Page, err error) {
	err = effect(ctx, func() error {
		page, err = s.Store.Query(ctx, q)
		return err
	})
	return page, err
}

func (s hookedStore) Commit(ctx context.Context, c store.Commit) error {
	return effect(ctx, func() error {
		s.commits.Add(1)
		return s.Store.Commit(ctx, c)
	})
}

type hookedWrapper struct{ seal.Wrapper }

func (w hookedWrapper) Wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) (wrapped []byte, err error) {
	err = effect(ctx, func() error {
		wrapped, err = w.Wrapper.Wrap(ctx, tenant, keyset)
		return err
	})
	return wrapped, err
}

func (w hookedWrapper) Unwrap(ctx context.Context, tenant ident.TenantID, wrapped []byte) (keyset []byte, err error) {
	err = effect(ctx, func() error {
		keyset, err = w.Wrapper.Unwrap(ctx, tenant, wrapped)
		return err
	})
	return keyset, err
}

type hookedCourier struct{ seal.Courier }

func (c hookedCourier) Deliver(ctx context.Context, to ident.RegionID, d seal.Delivery) error {
	// The network may fail before the other region is reached, and again after it has answered.
	nothing := func() error { return nil }
	if err := effect(ctx, nothing); err != nil {
		return err
	}
	if err := c.Courier.Deliver(ctx, to, d); err != nil {
		return err
	}
	return effect(ctx, nothing)
}

// errCrash is how an effect fails once its process is gone.
var errCrash = errors.New("sealtest: crash")

// crash returns a hook that fails the effect of a number and all after it; done says that this effect takes place all the same.
// fired tells whether it came to that.
func crash(number int, done bool) (h hook, fired func() bool) {
	n := 0
	return func(do func() error) error {
		n++
		switch {
		case n < number:
			return do()
		case n == number && done:
			if err := do(); err != nil {
				return err
			}
		}
		return errCrash
	}, func() bool { return n >= number }
}
