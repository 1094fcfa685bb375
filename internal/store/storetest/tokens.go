package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/domicile-api/domicile/internal/store"
)

func tokenTests() []test {
	return []test{
		{name: "the same commit twice takes effect once", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			c := store.Commit{Ops: []store.Op{put(it, store.Absent())}, Token: "token-1"}
			f.ok(c)
			f.ok(c) // Its condition does not hold any more.
			f.commit(put(item("p", "s", "later", 2), store.VersionIs(version(1))))
			f.ok(c)
			f.has(item("p", "s", "later", 2))
		}},
		{name: "the same commit again, some time later", run: func(f *fixture) {
			f.put(item("p", "a", "", 1), item("p", "b", "", 1))
			commits := []store.Commit{
				{Ops: []store.Op{put(item("p", "a", "", 2), store.VersionIs(version(1)))}, Token: "is"},
				{Ops: []store.Op{put(item("p", "b", "", 2), store.OlderThan(version(2)))}, Token: "older"},
				{Ops: []store.Op{put(item("p", "c", "", 2), store.Absent())}, Token: "absent"},
			}
			for _, pause := range []time.Duration{0, time.Second, 2 * time.Minute, store.TokenLife - 3*time.Minute} {
				f.clock.Move(pause)
				for _, c := range commits {
					f.ok(c)
				}
			}
		}},
		{name: "a delete is not made again", run: func(f *fixture) {
			it := item("p", "s", "v", 1)
			f.put(it)
			c := store.Commit{Ops: []store.Op{remove(it.Key, store.Always())}, Token: "token-1"}
			f.ok(c)
			f.put(it)
			f.ok(c)
			f.has(it)
		}},
		{name: "a token that names another commit is refused", run: func(f *fixture) {
			base := item("p", "s", "v", 1)
			f.ok(store.Commit{Ops: []store.Op{put(base, store.Always())}, Token: "token-1"})
			others := map[string]store.Op{"kind": remove(base.Key, store.Always()), "condition": put(base, store.OlderThan(version(5)))}
			for name, change := range map[string]func(*store.Item){
				"partition":    func(it *store.Item) { it.Key.Partition = "q" },
				"sort":         func(it *store.Item) { it.Key.Sort = "t" },
				"value":        func(it *store.Item) { it.Value = []byte("w") },
				"version":      func(it *store.Item) { it.Version = version(2) },
				"expiry":       func(it *store.Item) { it.Expires = f.clock.Read().Add(time.Hour) },
				"tenant":       func(it *store.Item) { it.Tag.Tenant = "x" },
				"class":        func(it *store.Item) { it.Tag.Class = store.ClassGlobal },
				"jurisdiction": func(it *store.Item) { it.Tag.Jurisdiction = "US" },
			} {
				it := base
				change(&it)
				others[name] = put(it, store.Always())
			}
			for name, op := range others {
				if err := f.Commit(f.Context(), store.Commit{Ops: []store.Op{op}, Token: "token-1"}); !errors.Is(err, store.ErrInvalid) {
					f.Errorf("another %s under the token: %v; want ErrInvalid", name, err)
				}
			}
			f.has(base)
			f.hasNot(store.Key{Partition: "q", Sort: "s"})
		}},
		{name: "a refused commit leaves no token", run: func(f *fixture) {
			c := store.Commit{Ops: []store.Op{put(item("p", "s", "v", 2), store.VersionIs(version(1)))}, Token: "token-1"}
			if err := f.Commit(f.Context(), c); !errors.As(err, new(*store.ConditionError)) {
				f.Fatalf("commit: %v; want a ConditionError", err)
			}
			f.put(item("p", "s", "v", 1))
			f.ok(c)
			f.has(item("p", "s", "v", 2))
		}},
		{name: "a token ends", run: func(f *fixture) {
			c := store.Commit{Ops: []store.Op{put(item("p", "s", "v", 1), store.Absent())}, Token: "token-1"}
			f.ok(c)
			f.clock.Move(store.TokenLife - time.Second)
			f.ok(c)
			if f.options.OwnTokenClock {
				return
			}
			f.clock.Move(2 * time.Second)
			if err := f.Commit(f.Context(), c); !errors.As(err, new(*store.ConditionError)) {
				f.Errorf("commit after the token's life: %v; want a ConditionError", err)
			}
		}},
		{name: "many equal commits at once", run: func(f *fixture) {
			f.put(item("p", "n", "", 1))
			c := store.Commit{Ops: []store.Op{put(item("p", "n", "", 2), store.VersionIs(version(1)))}, Token: strings.Repeat("t", store.MaxTokenBytes)}
			f.each(16, func(int) error { return f.Commit(f.Context(), c) })
			f.has(item("p", "n", "", 2))
		}},
		{name: "a long token", run: func(f *fixture) {
			c := store.Commit{Ops: []store.Op{put(item("p", "s", "v", 1), store.Always())}, Token: strings.Repeat("t", store.MaxTokenBytes+1)}
			if err := f.Commit(f.Context(), c); !errors.Is(err, store.ErrInvalid) {
				f.Errorf("commit: %v; want ErrInvalid", err)
			}
		}},
	}
}

// ok commits c, which must succeed.
func (f *fixture) ok(c store.Commit) {
	f.Helper()
	if err := f.Commit(f.Context(), c); err != nil {
		f.Fatalf("commit: %v", err)
	}
}
