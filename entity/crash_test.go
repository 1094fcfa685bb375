package entity_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
)

// acknowledged is a mutation that its caller was told of.
type acknowledged struct {
	id, note string
	deleted  bool
	write    call.Write
	keyHash  [32]byte
}

// machine is a region that crashes, and what its callers were told.
type machine struct {
	t       *rapid.T
	tb      testing.TB
	wrapper seal.Wrapper
	fs      *vfs.MemFS
	db      *pebblestore.DB
	w       *world

	n   int // names what is written
	mu  sync.Mutex
	ack []acknowledged
}

func (m *machine) open() {
	var err error
	if m.db, err = pebblestore.Open(pebblestore.Config{Dir: "/data", FS: m.fs, SweepInterval: -1}); err != nil {
		m.t.Fatalf("opening: %v", err)
	}
	ring := seal.NewKeyring(seal.KeyringConfig{
		Region: region, Jurisdiction: jurisdiction, Keys: m.db.Table("keys"), Wrapper: m.wrapper, Clock: time.Now,
	})
	m.w = &world{tb: m.tb, table: m.db.Table("regional"), ring: ring}
	m.w.start(nil, entity.Tuning{})
}

func (m *machine) close() {
	if err := m.w.engine.Close(context.Background()); err != nil {
		m.t.Fatalf("closing the engine: %v", err)
	}
	if err := m.db.Close(); err != nil {
		m.t.Fatalf("closing the store: %v", err)
	}
}

// Burst runs some mutations at once, on new entities and on old ones.
func (m *machine) Burst(t *rapid.T) { m.burst(t, func() {}) }

// Crash loses power in the middle of a burst, and goes on with what the disk kept.
func (m *machine) Crash(t *rapid.T) {
	lost := rapid.IntRange(0, 100).Draw(t, "percent of what was not synced that is there all the same")
	seed := rapid.Uint64().Draw(t, "seed")
	after := rapid.IntRange(0, 8).Draw(t, "acknowledgements before the crash")
	var once sync.Once
	var disk *vfs.MemFS
	var told []acknowledged
	crash := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		told = append([]acknowledged(nil), m.ack...) // before the disk is cloned
		disk = m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: lost, RNG: rand.New(rand.NewPCG(seed, 1))})
	}
	before := len(m.ack)
	m.burst(t, func() {
		m.mu.Lock()
		due := len(m.ack)-before >= after
		m.mu.Unlock()
		if due {
			once.Do(crash)
		}
	})
	once.Do(crash)
	m.close()
	m.fs, m.ack = disk, told
	m.open()
}

// Restart stops in an orderly way.
func (m *machine) Restart(*rapid.T) {
	m.close()
	m.open()
}

// burst runs mutations at once and calls told after each outcome.
func (m *machine) burst(t *rapid.T, told func()) {
	ids := slices.Sorted(maps.Keys(read(t, m.w.table, acme).entities))
	kinds := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 10).Draw(t, "kinds")
	var group sync.WaitGroup
	for _, kind := range kinds {
		m.n++
		n := m.n
		group.Go(func() {
			m.mutate(kind, n, ids)
			told()
		})
	}
	group.Wait()
}

// mutate makes one keyed call and remembers it when it is acknowledged.
func (m *machine) mutate(kind, n int, ids []string) {
	ctx, c := keyed(acme, fmt.Sprint("key", n), "r")
	note := fmt.Sprint("note", n)
	var u *profilev1.User
	var err error
	switch {
	case kind < 3 || len(ids) == 0:
		given := user(fmt.Sprint("u", n))
		given.RegulatedNote = note
		u, err = m.w.create(ctx, given)
	case kind < 5:
		u, err = m.w.update(ctx, ids[n%len(ids)], "", func(u *profilev1.User) {
			u.RegulatedNote, u.Email = note, fmt.Sprintf("u%d@example.org", n)
		})
	default:
		u, err = entity.Delete(ctx, m.w.users, ids[n%len(ids)], "", itself)
	}
	if fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) {
		return // another of the burst has deleted it
	}
	if err != nil {
		m.tb.Errorf("mutation: %v", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ack = append(m.ack, acknowledged{
		id: u.GetId(), note: note, deleted: kind == 5 && len(ids) > 0, write: *c.Committed, keyHash: c.Operation.KeyHash,
	})
}

// Check is run after each step: what was acknowledged is there whole, and nothing is there by halves.
func (m *machine) Check(t *rapid.T) {
	rows := read(t, m.w.table, acme)
	rows.audit(t)
	for _, a := range m.ack {
		o := rows.outbox[a.write.Lane][a.write.Seq]
		if o == nil || o.GetId() != a.id || o.GetDeleted() != a.deleted {
			t.Fatalf("%+v was acknowledged and its outbox record is %v", a, o)
		}
		rec := rows.records[hex.EncodeToString(a.keyHash[:])]
		if rec == nil || rec.GetSeq() != uint64(a.write.Seq) || rec.GetLane() != uint32(a.write.Lane) {
			t.Fatalf("%+v was acknowledged and its idempotency record is %v", a, rec)
		}
		item, there := rows.entities[a.id]
		if there && item.Version == (ident.Version{Epoch: a.write.Epoch, Seq: a.write.Seq}) {
			if u, err := m.w.users.Get(as(acme), a.id); err != nil || u.GetRegulatedNote() != a.note {
				t.Fatalf("%+v was acknowledged and reads %v, %v", a, u, err)
			}
		}
	}
}

func TestCrashesLoseNothingAcknowledged(t *testing.T) {
	t.Parallel()
	wrapper, err := local.Open(t.TempDir(), region)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{t: rt, tb: t, wrapper: wrapper, fs: vfs.NewCrashableMem()}
		m.open()
		defer m.close()
		for range rapid.IntRange(1, 4).Draw(rt, "steps") {
			step := rapid.SampledFrom([]func(*rapid.T){m.Burst, m.Crash, m.Crash, m.Restart}).Draw(rt, "step")
			step(rt)
			m.Check(rt)
		}
	})
}
