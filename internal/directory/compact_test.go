package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCompactMap puts random batches and compares with a map.
func TestCompactMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, model := newCompactMap(), make(map[string]string)
		key := rapid.StringMatching(`[a-c]{1,4}`)
		for range rapid.IntRange(1, 10).Draw(t, "batches") {
			var batch []entry
			for range rapid.IntRange(0, 8).Draw(t, "size") {
				e := entry{key: key.Draw(t, "key"), value: rapid.StringN(0, 200, 400).Draw(t, "value")}
				batch = append(batch, e)
				model[e.key] = e.value
			}
			if !m.put(batch) {
				t.Fatal("put found no room")
			}
		}
		compareMaps(t, m, model)
		if got, ok := m.get("absent"); ok {
			t.Fatalf("absent key has value %q", got)
		}
	})
}

func compareMaps(t interface{ Fatalf(string, ...any) }, m *compactMap, model map[string]string) {
	for k, want := range model {
		if got, ok := m.get(k); !ok || got != want {
			t.Fatalf("get(%q) = %q, %v; want %q", k, got, ok, want)
		}
		if got, ok := m.getBytes([]byte(k)); !ok || got != want {
			t.Fatalf("getBytes(%q) = %q, %v; want %q", k, got, ok, want)
		}
	}
	if got := int(m.count.Load()); got != len(model) {
		t.Fatalf("count %d, want %d", got, len(model))
	}
	seen := 0
	m.walk(func(k, v string) bool {
		seen++
		if model[k] != v {
			t.Fatalf("walk gave %q = %q, want %q", k, v, model[k])
		}
		return true
	})
	if seen != len(model) {
		t.Fatalf("walk gave %d entries, want %d", seen, len(model))
	}
}

// TestCompactMapFull fills shards far enough that probing wraps around and tags repeat.
func TestCompactMapFull(t *testing.T) {
	t.Parallel()
	m, model := newCompactMap(), make(map[string]string)
	var batch []entry
	for i := range 200_000 {
		e := entry{key: fmt.Sprintf("tenant-%d", i), value: fmt.Sprint(i)}
		batch = append(batch, e)
		model[e.key] = e.value
	}
	m.put(batch)
	compareMaps(t, m, model)
	for i := range 100_000 {
		if _, ok := m.get(fmt.Sprintf("other-%d", i)); ok {
			t.Fatalf("other-%d was never put", i)
		}
	}
}

// TestCompactMapTooLarge checks that a shard that would outgrow its offsets stays as it is.
func TestCompactMapTooLarge(t *testing.T) {
	t.Parallel()
	m := newCompactMap()
	m.put([]entry{{key: "k", value: "before"}})
	if m.put([]entry{{key: "k", value: strings.Repeat("x", offsetMask)}}) {
		t.Fatal("a shard beyond its offsets was built")
	}
	if got, _ := m.get("k"); got != "before" {
		t.Fatalf("value %.10q, want the one before", got)
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
