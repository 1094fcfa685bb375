package pebblestore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// BenchmarkCommit compares a regional commit (entity, lane, outbox record, idempotency record) with raw Pebble that writes
// the same keys and values with the same durability: one batch a commit, synced. Both run on a real disk.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d/raw", writers), func(b *testing.B) { benchRaw(b, writers) })
		b.Run(fmt.Sprintf("writers=%d/domicile", writers), func(b *testing.B) { benchStore(b, writers) })
	}
}

// lane is one writer's stream: it makes commits as the entity repository does.
type lane struct {
	partition string
	seq       ident.Seq
	rng       *rand.ChaCha8
	entity    [600]byte
	answer    [300]byte
}

func newLane(writer int) *lane {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(writer)+1)
	return &lane{partition: fmt.Sprintf("tenant-%02d/lane", writer), rng: rand.NewChaCha8(seed)}
}

func (l *lane) next() store.Commit {
	tag := store.Tag{Tenant: "acme-eu", Class: store.ClassPII, Jurisdiction: "EU"}
	before := ident.Version{Epoch: 1, Seq: l.seq}
	l.seq++
	version := ident.Version{Epoch: 1, Seq: l.seq}
	_, _ = l.rng.Read(l.entity[:]) // Sealed bytes do not compress.
	_, _ = l.rng.Read(l.answer[:])
	sort := fmt.Sprintf("usr_%012x%012x", l.seq, l.rng.Uint64()>>16) // Ids are ordered by time, like UUIDv7.
	laneIs := store.VersionIs(before)
	if l.seq == 1 {
		laneIs = store.Absent()
	}
	put := func(key store.Key, value []byte, cond store.Condition) store.Op {
		return store.Op{Kind: store.Put, If: cond, Item: store.Item{Key: key, Version: version, Tag: tag, Value: value}}
	}
	return store.Commit{Ops: []store.Op{
		put(store.Key{Partition: l.partition, Sort: "e/" + sort}, l.entity[:], store.Absent()),
		put(store.Key{Partition: l.partition, Sort: "l"}, []byte("open"), laneIs),
		put(store.Key{Partition: l.partition, Sort: fmt.Sprintf("o/%016x", l.seq)}, []byte(sort), store.Absent()),
		put(store.Key{Partition: fmt.Sprintf("i/%032x", l.rng.Uint64())}, l.answer[:], store.Absent()),
	}}
}

// each runs b.N commits, shared among the writers.
func each(b *testing.B, writers int, commit func(store.Commit) error) {
	b.Helper()
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for l := newLane(w); left.Add(-1) >= 0; {
				if err := commit(l.next()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func benchStore(b *testing.B, writers int) {
	b.Helper()
	db, err := pebblestore.Open(pebblestore.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	table := db.Table("regional")
	each(b, writers, func(c store.Commit) error { return table.Commit(context.Background(), c) })
}

func benchRaw(b *testing.B, writers int) {
	b.Helper()
	opts := &pebble.Options{FormatMajorVersion: pebble.FormatNewest, MemTableSize: 8 << 20, MemTableStopWritesThreshold: 3, L0StopWritesThreshold: 64}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.Logger = pebblestore.DiscardLogger()
	db, err := pebble.Open(b.TempDir(), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	each(b, writers, func(c store.Commit) error {
		batch := db.NewBatch()
		for i := range c.Ops {
			key, value := pebblestore.EncodeForBenchmark("regional", &c.Ops[i].Item)
			if err := batch.Set(key, value, nil); err != nil {
				return err
			}
		}
		return batch.Commit(pebble.Sync)
	})
}
