package routeheader

import (
	"sync"
	"time"
)

// recent remembers at most 2n values. When the younger of its two generations is full, or has been filled for span, it becomes
// the older one and the older is forgotten: entries need no list and no timer, and each costs one map entry.
type recent[K comparable, V any] struct {
	n    int
	span time.Duration

	mu      sync.RWMutex
	young   map[K]V
	old     map[K]V
	started time.Time
}

func newRecent[K comparable, V any](n int, span time.Duration) *recent[K, V] {
	return &recent[K, V]{n: n, span: span, young: make(map[K]V), old: make(map[K]V)}
}

// get returns a value that may be beyond its span: the caller judges its age.
func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok := r.young[key]; ok {
		return v, true
	}
	v, ok := r.old[key]
	return v, ok
}

func (r *recent[K, V]) put(key K, value V, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// A clock that was set back begins a generation too: nothing stays because of it.
	if age := now.Sub(r.started); len(r.young) >= r.n || age >= r.span || age < 0 {
		r.old, r.young, r.started = r.young, make(map[K]V, len(r.young)), now
	}
	r.young[key] = value
}

// size is how many values are remembered.
func (r *recent[K, V]) size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.young) + len(r.old)
}
