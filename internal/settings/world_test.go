package settings_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/settings"
)

const tenant = ident.TenantID("acme-eu")

// testing is what the world needs of *testing.T and *rapid.T.
type testing interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// region is one region of a world.
type region struct {
	id    ident.RegionID
	table *memory
	kept  *settings.Settings
	// skew is how far its clock is ahead of the world's.
	skew time.Duration
	// cursor is up to where its stream is sent to all.
	cursor ident.Seq
}

// event is a position under way.
type event struct {
	origin ident.RegionID
	seq    ident.Seq
	name   string
	state  []byte
	to     *region
}

// world is some regions and what is under way between them.
type world struct {
	t       testing
	now     time.Time
	regions []*region
	flying  []event
	rand    *rand.ChaCha8
	// unchecked leaves the comparison of clocks out.
	unchecked bool
}

func newWorld(t testing, n int) *world {
	w := &world{t: t, now: time.Unix(1_700_000_000, 0), rand: rand.NewChaCha8([32]byte{})}
	for i := range n {
		r := &region{id: ident.RegionID(fmt.Sprintf("r%d", i)), table: newMemory()}
		w.regions = append(w.regions, r)
		w.start(r)
	}
	return w
}

// start starts a region's process, again if it ran.
func (w *world) start(r *region) {
	kept, err := settings.New(settings.Config{
		Store: r.table, Region: r.id, Jurisdiction: "EU", Rand: w.rand,
		Others: func(ident.TenantID) []ident.RegionID {
			var all []ident.RegionID
			for _, o := range w.regions {
				all = append(all, o.id)
			}
			return all
		},
		Clock: func() time.Time { return w.now.Add(r.skew) },
		CheckClock: func(now time.Time) error {
			if w.unchecked {
				return nil
			}
			peers := crdt.NewPeers(time.Hour)
			for _, o := range w.regions {
				if o != r {
					peers.Observe(o.id, now, w.now.Add(o.skew), now)
				}
			}
			return peers.Check(now)
		},
		Attempts: 3, RetryPause: time.Nanosecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r.kept = kept
}

// callOf is a call with an idempotency key, or without when it is empty.
func callOf(key, request string) (context.Context, *call.Call) {
	c := &call.Call{Tenant: tenant}
	if key != "" {
		c.Operation = &call.Operation{KeyHash: sha256.Sum256([]byte(key)), RequestHash: sha256.Sum256([]byte(request))}
	}
	return call.With(context.Background(), c), c
}

// update calls a region as the interceptor of repetitions does.
func update(r *region, key, name string, operations ...*settingsv1.Operation) (*settingsv1.Settings, *call.Call, error) {
	ctx, c := callOf(key, fmt.Sprint(name, len(operations)))
	replay := func() (*settingsv1.Settings, bool, error) {
		raw, found, err := r.kept.Replay(ctx, c)
		if err != nil || !found {
			return nil, false, err
		}
		stored := &settingsv1.UpdateSettingsResponse{}
		err = proto.Unmarshal(raw, stored)
		return stored.GetSettings(), true, err
	}
	if out, found, err := replay(); found || err != nil {
		return out, c, err
	}
	out, err := settings.Update(ctx, r.kept, name, operations, func(s *settingsv1.Settings) *settingsv1.UpdateSettingsResponse {
		return &settingsv1.UpdateSettingsResponse{Settings: s}
	})
	if err != nil {
		if again, found, _ := replay(); found {
			return again, c, nil
		}
		return nil, c, err
	}
	return out.GetSettings(), c, nil
}

// send reads what a region has to tell after its cursor, up to so many positions, and has it fly to all others.
func (w *world) send(r *region, limit int) bool {
	w.t.Helper()
	positions, _, err := r.kept.Outbox(context.Background(), tenant, r.cursor, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range positions {
		if p.Seq != r.cursor+1 {
			w.t.Fatalf("%s: position %d follows %d", r.id, p.Seq, r.cursor)
		}
		state, err := r.kept.Tell(context.Background(), tenant, p.Namespace)
		if err != nil {
			w.t.Fatal(err)
		}
		raw, err := proto.Marshal(state)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range w.regions {
			if o != r {
				w.flying = append(w.flying, event{r.id, p.Seq, p.Namespace, raw, o})
			}
		}
		r.cursor = p.Seq
	}
	return len(positions) > 0
}

// arrive applies what flies at an index; it flies on when it failed, or when it is to arrive once more.
func (w *world) arrive(i int, again bool) {
	w.t.Helper()
	e := w.flying[i]
	state := &settingsv1.State{}
	if err := proto.Unmarshal(e.state, state); err != nil {
		w.t.Fatal(err)
	}
	_, err := e.to.kept.ApplyRemote(context.Background(), tenant, e.origin, e.seq, e.name, state)
	if err != nil && !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
		w.t.Fatalf("%s applying %d of %s: %v", e.to.id, e.seq, e.origin, err)
	}
	if err == nil && !again {
		w.flying = slices.Delete(w.flying, i, i+1)
	}
}

func (w *world) maintain(r *region) settings.Report {
	w.t.Helper()
	report, err := r.kept.Maintain(context.Background(), tenant)
	if err != nil && !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
		w.t.Fatalf("%s: %v", r.id, err)
	}
	return report
}

// settle heals everything and lets all be told, until nothing changes any more. Then all regions are equal, and their watermarks are at the
// ends of the streams.
func (w *world) settle() {
	w.t.Helper()
	for _, r := range w.regions {
		r.table.lose = nil
	}
	for rounds := 0; ; rounds++ {
		if rounds > 50 {
			w.t.Fatal("the regions never stop telling each other")
		}
		busy := len(w.flying) > 0
		for _, r := range w.regions {
			report := w.maintain(r)
			busy = w.send(r, 1000) || report.Applied+report.Folded+report.Told+report.Forgotten > 0 || busy
		}
		for len(w.flying) > 0 {
			w.arrive(len(w.flying)-1, false)
		}
		if !busy {
			break
		}
	}
	for _, r := range w.regions {
		reached, err := r.kept.Reached(context.Background(), tenant)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range w.regions {
			if reached[o.id] != o.cursor {
				w.t.Fatalf("%s has reached %d of %s, which ends at %d", r.id, reached[o.id], o.id, o.cursor)
			}
		}
	}
}

// equal fails unless all regions have a namespace in the same state, and returns what they show.
func (w *world) equal(name string) map[string]*settingsv1.Entry {
	w.t.Helper()
	all := make([]*settingsv1.State, 0, len(w.regions))
	for _, r := range w.regions {
		state, err := r.kept.Tell(context.Background(), tenant, name)
		if err != nil {
			w.t.Fatal(err)
		}
		state.Seen = nil // Of a namespace that is kept no more, it is what the watermarks say.
		if all = append(all, state); !crdt.Equal(all[0], state) {
			w.t.Fatalf("%s and %s differ in %s:\n%v\n%v", w.regions[0].id, r.id, name, all[0], state)
		}
	}
	return crdt.Shown(all[0])
}

func (w *world) draw(t *rapid.T) *region { return rapid.SampledFrom(w.regions).Draw(t, "region") }

// step moves something along.
func (w *world) step(t *rapid.T) {
	r := w.draw(t)
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1, 2:
		w.send(r, rapid.IntRange(1, 4).Draw(t, "positions"))
	case 3, 4, 5, 6:
		if len(w.flying) > 0 {
			w.arrive(rapid.IntRange(0, len(w.flying)-1).Draw(t, "flying"), rapid.IntRange(0, 3).Draw(t, "again") == 0)
		}
	case 7:
		w.maintain(r)
	case 8:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 30*3600).Draw(t, "seconds")) * time.Second)
	case 9: // The process dies, and what was sent last is sent again.
		w.start(r)
		r.cursor -= min(r.cursor, 2)
	}
}

// unreliable makes a region's store lose commits and answers.
func (w *world) unreliable(t *rapid.T, r *region) {
	seed := rapid.Uint64().Draw(t, "seed")
	source := rand.New(rand.NewPCG(seed, 1))
	r.table.lose = func() (before, after bool) { return source.IntN(4) == 0, source.IntN(4) == 0 }
}

func set(key string, n int64) *settingsv1.Operation {
	return &settingsv1.Operation{Key: key, Kind: &settingsv1.Operation_Set{
		Set: &settingsv1.Value{Kind: &settingsv1.Value_IntValue{IntValue: n}},
	}}
}

func raise(n int64) *settingsv1.Operation {
	return &settingsv1.Operation{Key: "m", Kind: &settingsv1.Operation_Raise{Raise: n}}
}

func increment(key string, n int64) *settingsv1.Operation {
	return &settingsv1.Operation{Key: key, Kind: &settingsv1.Operation_Increment{Increment: n}}
}

func add(key, member string) *settingsv1.Operation {
	return &settingsv1.Operation{Key: key, Kind: &settingsv1.Operation_Add{Add: member}}
}

func remove(member string) *settingsv1.Operation {
	return &settingsv1.Operation{Key: "s", Kind: &settingsv1.Operation_Remove{Remove: member}}
}

func drop(key string) *settingsv1.Operation {
	return &settingsv1.Operation{Key: key, Kind: &settingsv1.Operation_Delete{Delete: true}}
}
