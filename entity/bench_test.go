package entity_test

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// onDisk opens a region's tables in a folder, so that a commit waits for the disk.
func onDisk(tb testing.TB) func(name string) store.Store {
	tb.Helper()
	db, err := pebblestore.Open(pebblestore.Config{Dir: tb.TempDir(), MinFreeBytes: -1, BallastBytes: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("closing the store: %v", err)
		}
	})
	return db.Table
}

func BenchmarkCreate(b *testing.B) {
	for _, medium := range []struct {
		name string
		open func(testing.TB) func(string) store.Store
	}{{"memory", openMemory}, {"disk", onDisk}} {
		for _, writers := range []int{1, 64} {
			for _, withKey := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/writers=%d/idempotent=%v", medium.name, writers, withKey), func(b *testing.B) {
					w := newWorld(b, medium.open(b), nil, entity.Tuning{})
					benchmarkCreate(b, w, writers, withKey)
				})
			}
		}
	}
}

func benchmarkCreate(b *testing.B, w *world, writers int, withKey bool) {
	b.Helper()
	var n atomic.Int64
	answer := func(u *profilev1.User) *profilev1.CreateUserResponse { return &profilev1.CreateUserResponse{User: u} }
	w.mustCreate(as(acme), user("warm"))
	b.ReportAllocs()
	b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
	create := func() {
		name := strconv.FormatInt(n.Add(1), 10)
		ctx, _ := callOf(acme)
		if withKey {
			ctx, _ = keyed(acme, name, "r")
		}
		if _, err := entity.Create(ctx, w.users, user(name), answer); err != nil {
			b.Error(err)
		}
	}
	b.ResetTimer()
	if writers == 1 {
		for b.Loop() {
			create()
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			create()
		}
	})
}

func BenchmarkGet(b *testing.B) {
	w := memory(b)
	made := w.mustCreate(as(acme), user("ada"))
	ctx := as(acme)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.users.Get(ctx, made.GetId()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetSummary(b *testing.B) {
	w := memory(b)
	made := w.mustCreate(as(acme), user("ada"))
	ctx := as(acme)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, made.GetId()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	w := memory(b)
	made := w.mustCreate(as(acme), user("ada"))
	ctx := as(acme)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.update(ctx, made.GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListPageOf100(b *testing.B) {
	w := memory(b)
	for i := range 1000 {
		w.mustCreate(as(acme), user(strconv.Itoa(i)))
	}
	ctx := as(acme)
	b.ReportAllocs()
	for b.Loop() {
		users, _, err := w.users.List(ctx, entity.Page{})
		if err != nil || len(users) != 100 {
			b.Fatal(len(users), err)
		}
	}
}
