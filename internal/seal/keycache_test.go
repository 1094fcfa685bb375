package seal

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

var errAway = errors.New("the caller went away")

// TestOneLoad: however many wait for a key, it is loaded once; who gives up, even the first, does not take it from the others.
func TestOneLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		release := make(chan struct{})
		want := &openKey{usable: 1, loaded: time.Now()}
		cache := newKeyCache(10, time.Minute, time.Now, func(ctx context.Context, _ ident.TenantID) (*openKey, error) {
			loads.Add(1)
			select {
			case <-release:
				return want, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
		impatient, leave := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := cache.get(impatient, "acme-eu"); !errors.Is(err, errAway) {
				t.Errorf("who went away got %v", err)
			}
		})
		synctest.Wait()
		for range 16 {
			group.Go(func() {
				if key, err := cache.get(t.Context(), "acme-eu"); key != want || err != nil {
					t.Errorf("get = %v, %v", key, err)
				}
			})
		}
		synctest.Wait()
		leave(errAway)
		synctest.Wait()
		close(release)
		group.Wait()
		if n := loads.Load(); n != 1 {
			t.Errorf("17 who want a key at once load it %d times", n)
		}
	})
}

// TestLoadEnds: a load that hangs ends after loadTimeout, and the next call tries again.
func TestLoadEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		cache := newKeyCache(10, time.Minute, time.Now, func(ctx context.Context, _ ident.TenantID) (*openKey, error) {
			if loads++; loads > 1 {
				return &openKey{usable: 1, loaded: time.Now()}, nil
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		if _, err := cache.get(t.Context(), "acme-eu"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a load that hangs: %v", err)
		}
		if _, err := cache.get(t.Context(), "acme-eu"); err != nil {
			t.Errorf("the next: %v", err)
		}
	})
}

// TestReplaceAfterAChange: what was read before a change of any key is not cached after it.
func TestReplaceAfterAChange(t *testing.T) {
	t.Parallel()
	stored := &openKey{usable: 2, loaded: time.Now()}
	cache := newKeyCache(10, time.Minute, time.Now, func(context.Context, ident.TenantID) (*openKey, error) { return stored, nil })
	marked := cache.mark()
	cache.drop("acme-eu")
	cache.replace("acme-eu", &openKey{usable: 1, loaded: time.Now()}, marked)
	if key, err := cache.get(t.Context(), "acme-eu"); key != stored || err != nil {
		t.Errorf("get = %+v, %v; want what is stored", key, err)
	}
	current := &openKey{usable: 3, loaded: time.Now()}
	cache.replace("acme-eu", current, cache.mark())
	if key := cache.peek("acme-eu"); key != current {
		t.Errorf("peek = %+v, want what was cached", key)
	}
}
