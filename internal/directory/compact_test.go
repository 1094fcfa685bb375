package directory

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCompactMap puts random batches and compares with a map.
func TestCompactMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, model := newCompactMap(), make(map[string]string)
		key := rapid.StringMatching(`[a-d]{1,5}`)
		for range rapid.IntRange(1, 10).Draw(t, "batches") {
			batch := make(map[string]string)
			for range rapid.IntRange(0, 100).Draw(t, "size") {
				batch[key.Draw(t, "key")] = rapid.StringN(0, 200, 400).Draw(t, "value")
			}
			m.put(batch)
			maps.Copy(model, batch)
		}
		compareMaps(t, m, model)
		if got, ok := m.get("absent"); ok {
			t.Fatalf("absent key has value %q", got)
		}
	})
}

func compareMaps(t interface {
	Fatalf(format string, args ...any)
}, m *compactMap, model map[string]string) {
	for k, want := range model {
		if got, ok := m.get(k); !ok || got != want {
			t.Fatalf("get(%q) = %q, %v; want %q", k, got, ok, want)
		}
		if got, ok := m.getBytes([]byte(k)); !ok || got != want {
			t.Fatalf("getBytes(%q) = %q, %v; want %q", k, got, ok, want)
		}
	}
	if m.count != len(model) {
		t.Fatalf("count %d, want %d", m.count, len(model))
	}
	seen := 0
	for k, v := range m.all() {
		seen++
		if model[k] != v {
			t.Fatalf("all gave %q = %q, want %q", k, v, model[k])
		}
	}
	if seen != len(model) {
		t.Fatalf("all gave %d entries, want %d", seen, len(model))
	}
}

// TestCompactMapGrows puts a great many entries, in batches of all sizes.
func TestCompactMapGrows(t *testing.T) {
	t.Parallel()
	m, model := newCompactMap(), make(map[string]string)
	for size := 1; len(model) < 20_000; size *= 3 {
		batch := make(map[string]string)
		for i := range size {
			batch[fmt.Sprintf("tenant-%d", size+i)] = fmt.Sprint(size, i)
		}
		m.put(batch)
		maps.Copy(model, batch)
		if got, want := m.buckets.size()*entriesPerBucket, len(model); got < want || got > max(3*want, segmentSize*entriesPerBucket) {
			t.Fatalf("room for %d entries, there are %d", got, want)
		}
	}
	compareMaps(t, m, model)
	for i := range 20_000 {
		if _, ok := m.get(fmt.Sprintf("other-%d", i)); ok {
			t.Fatalf("other-%d was never put", i)
		}
	}
}

// TestUnknownNames compares with a model: what was added within the last while is known, as long as the limit allows.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const ttl, limit = 5, 8
		u := newUnknownNames(ttl, limit)
		until := make(map[uint64]int64)
		now := int64(1_000)
		at := func() time.Time { return time.Unix(0, now) }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, 3).Draw(t, "passes")
			name := rapid.Uint64Range(0, 12).Draw(t, "name")
			if u.has(name, at()) != (until[name] > now) {
				t.Fatalf("name %d at %d: has = %v, until %d", name, now, until[name] <= now, until[name])
			}
			if until[name] > now {
				continue
			}
			live := 0
			for _, end := range until {
				if end > now {
					live++
				}
			}
			if live >= limit {
				return // Which of equally old names goes is not promised.
			}
			u.add(name, at())
			until[name] = now + ttl
			if len(u.until) > limit || len(u.order)-u.head > limit+1 {
				t.Fatalf("%d names, %d in order; the limit is %d", len(u.until), len(u.order)-u.head, limit)
			}
		}
	})
}
