package seal

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
)

const (
	// negativeAge is how long it is remembered that a tenant has no key that seals.
	negativeAge = time.Second
	// loadTimeout bounds the reading and unwrapping of a key: it is done for all who wait, so no caller's deadline bounds it.
	loadTimeout = 10 * time.Second
)

// openKey is a tenant's key, ready for use. It is a value: nothing changes it once it is cached.
type openKey struct {
	// missing says why there is no key: an ErrNoKey. The other fields are then empty.
	missing error
	keys    *primitives
	// usable is the generation that seals; 0: none does yet.
	usable uint32
	// holders are the other regions that this process has seen hold the key.
	holders []ident.RegionID
	loaded  time.Time
}

// keyCache keeps the keys used last. A miss is loaded once, however many wait for it.
type keyCache struct {
	size  int
	age   time.Duration
	clock func() time.Time
	load  func(ctx context.Context, tenant ident.TenantID) (*openKey, error)

	mu      sync.Mutex
	entries map[ident.TenantID]*list.Element // of cacheEntry
	recency *list.List                       // the front was used last
	loads   map[ident.TenantID]*keyLoad
	// changes counts the changes of keys, of any tenant. What was read before a change is not cached after it.
	changes uint64
}

type cacheEntry struct {
	tenant ident.TenantID
	key    *openKey
}

// keyLoad is a load in progress; key and err are set when done is closed.
type keyLoad struct {
	done chan struct{}
	key  *openKey
	err  error
}

func newKeyCache(size int, age time.Duration, clock func() time.Time, load func(context.Context, ident.TenantID) (*openKey, error)) *keyCache {
	return &keyCache{
		size: size, age: age, clock: clock, load: load,
		entries: make(map[ident.TenantID]*list.Element), recency: list.New(), loads: make(map[ident.TenantID]*keyLoad),
	}
}

// get returns a tenant's key, loading it when it is not here or too old.
func (c *keyCache) get(ctx context.Context, tenant ident.TenantID) (*openKey, error) {
	now := c.clock()
	c.mu.Lock()
	if key := c.cached(tenant, now); key != nil {
		c.mu.Unlock()
		return key, nil
	}
	l, running := c.loads[tenant]
	if !running {
		l = &keyLoad{done: make(chan struct{})}
		c.loads[tenant] = l
		go c.run(context.WithoutCancel(ctx), tenant, l, c.changes)
	}
	c.mu.Unlock()
	select {
	case <-l.done:
		return l.key, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// cached returns a key that is not too old, or nil. The lock is held.
func (c *keyCache) cached(tenant ident.TenantID, now time.Time) *openKey {
	element, ok := c.entries[tenant]
	if !ok {
		return nil
	}
	key := element.Value.(cacheEntry).key //nolint:forcetypeassert // the list has nothing else
	limit := c.age
	if key.usable == 0 {
		limit = min(limit, negativeAge)
	}
	if age := now.Sub(key.loaded); age < 0 || age >= limit {
		c.remove(tenant)
		return nil
	}
	c.recency.MoveToFront(element)
	return key
}

// run loads a key for all who wait. The key is cached unless keys changed meanwhile.
func (c *keyCache) run(ctx context.Context, tenant ident.TenantID, l *keyLoad, began uint64) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	l.key, l.err = c.load(ctx, tenant)
	c.mu.Lock()
	if c.loads[tenant] == l {
		delete(c.loads, tenant)
	}
	if l.err == nil && c.changes == began {
		c.insert(tenant, l.key)
	}
	c.mu.Unlock()
	close(l.done)
}

// peek returns a tenant's key only if it is here.
func (c *keyCache) peek(tenant ident.TenantID) *openKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cached(tenant, c.clock())
}

// mark is to be called before keys are read that replace is to cache.
func (c *keyCache) mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// drop forgets a tenant's key after it changed. Nobody who asks from now on gets what was read before.
func (c *keyCache) drop(tenant ident.TenantID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(tenant)
}

// replace is drop and, unless keys changed since mark, caches what the tenant's key is now.
func (c *keyCache) replace(tenant ident.TenantID, key *openKey, marked uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	current := c.changes == marked
	c.forget(tenant)
	if current {
		c.insert(tenant, key)
	}
}

// dropIf forgets a tenant's key if it is this one: who saw that it is too old asks for a newer.
func (c *keyCache) dropIf(tenant ident.TenantID, key *openKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	//nolint:forcetypeassert // the list has nothing else
	if element, ok := c.entries[tenant]; ok && element.Value.(cacheEntry).key == key {
		c.remove(tenant)
	}
}

// The lock is held in what follows.

func (c *keyCache) forget(tenant ident.TenantID) {
	c.changes++
	c.remove(tenant)
	delete(c.loads, tenant)
}

func (c *keyCache) insert(tenant ident.TenantID, key *openKey) {
	c.remove(tenant)
	c.entries[tenant] = c.recency.PushFront(cacheEntry{tenant, key})
	for len(c.entries) > c.size {
		c.remove(c.recency.Back().Value.(cacheEntry).tenant) //nolint:forcetypeassert // the list has nothing else
	}
}

func (c *keyCache) remove(tenant ident.TenantID) {
	if element, ok := c.entries[tenant]; ok {
		c.recency.Remove(element)
		delete(c.entries, tenant)
	}
}
