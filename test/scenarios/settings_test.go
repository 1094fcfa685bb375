package scenarios

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/settings"
)

// namespace is the one namespace of settings: what is not shared cannot conflict.
const namespace = "shop"

// maxCounts is how many increments a run makes at the most: each counts in three bits of its own.
const maxCounts = 20

// settingsModel is what clients did to acme's settings.
type settingsModel struct {
	counts []*count
	writes int
}

func newSettingsModel() *settingsModel { return &settingsModel{} }

// count is an increment that a client repeats, through any region, under its key.
type count struct {
	begun time.Time
	acked bool
}

// cursorKey names up to where a region's settings were sent to another.
type cursorKey struct{ to ident.RegionID }

// settingsMove does something to the settings, or moves them on.
func (w *world) settingsMove(r *region) {
	if !r.up {
		return
	}
	switch w.drawOf(3, 3, 5, 2, 1, 2) {
	case 0:
		w.write(r)
	case 1:
		w.count(r)
	case 2:
		w.spread(r, w.regions[w.draw(len(w.regions))], 1+w.draw(4))
	case 3:
		_, _ = r.kept.Maintain(context.Background(), acme)
	case 4:
		w.forget(r, w.draw(3) == 0)
	default:
		w.fetch(r, w.regions[w.draw(len(w.regions))])
	}
}

// write sets, adds, removes or deletes something, through a region's edge.
func (w *world) write(r *region) {
	w.settings.writes++
	n := int64(w.draw(4))
	member := fmt.Sprint("m", n)
	o := []*settingsv1.Operation{
		{Key: "v", Kind: &settingsv1.Operation_Set{Set: &settingsv1.Value{Kind: &settingsv1.Value_IntValue{IntValue: int64(w.settings.writes)}}}},
		{Key: "s", Kind: &settingsv1.Operation_Add{Add: member}},
		{Key: "s", Kind: &settingsv1.Operation_Remove{Remove: member}},
		{Key: "m", Kind: &settingsv1.Operation_Raise{Raise: n}},
		{Key: "v", Kind: &settingsv1.Operation_Delete{Delete: true}},
		{Key: "s", Kind: &settingsv1.Operation_Delete{Delete: true}},
	}[w.drawOf(4, 4, 2, 2, 1, 1)]
	err := w.set(r, fmt.Sprint("write ", w.settings.writes), o)
	w.notef("settings: %v at %s: %v", o, r.id, err)
}

// count makes an increment, or repeats one whose outcome is not known, in this region or another.
func (w *world) count(r *region) {
	s := w.settings
	i := w.draw(maxCounts)
	if i >= len(s.counts) {
		if len(s.counts) == maxCounts {
			return
		}
		i = len(s.counts)
		s.counts = append(s.counts, &count{begun: w.now})
	}
	c := s.counts[i]
	if w.now.Sub(c.begun) > giveUp {
		return
	}
	key := fmt.Sprint("count ", i)
	if w.off.increment {
		key += " at " + string(r.id)
	}
	o := &settingsv1.Operation{Key: "c", Kind: &settingsv1.Operation_Increment{Increment: 1 << (3 * i)}}
	err := w.set(r, key, o)
	answered := w.net.bad == 0 || w.draw(100) >= w.net.bad
	w.notef("settings: count %d at %s: %v%s", i, r.id, err, cond(answered, "", ", the answer is lost"))
	c.acked = c.acked || err == nil && answered
}

// set calls the settings of a region as the interceptor of repetitions does.
func (w *world) set(r *region, key string, o *settingsv1.Operation) error {
	c := &call.Call{Tenant: acme, Operation: &call.Operation{
		KeyHash: sha256.Sum256([]byte(key)), RequestHash: sha256.Sum256([]byte("request of " + key)),
	}}
	ctx := call.With(context.Background(), c)
	if _, found, err := r.kept.Replay(ctx, c); found || err != nil {
		return err
	}
	_, err := settings.Update(ctx, r.kept, namespace, []*settingsv1.Operation{o}, func(s *settingsv1.Settings) *settingsv1.UpdateSettingsResponse {
		return &settingsv1.UpdateSettingsResponse{Settings: s}
	})
	if err != nil {
		if _, found, _ := r.kept.Replay(ctx, c); found {
			return nil
		}
	}
	return err
}

// spread tells another region the next positions of a region's stream. The cursor moves when that has answered.
func (w *world) spread(r, to *region, limit int) (some bool) {
	if r == to || !r.up {
		return false
	}
	at := cursorKey{to.id}
	positions, _, err := r.kept.Outbox(context.Background(), acme, r.cursors[at], limit)
	if err != nil {
		return false
	}
	reached, err := r.kept.Reached(context.Background(), acme)
	if err != nil {
		return false
	}
	before := reached[r.id]
	if len(positions) > 0 {
		before = positions[0].Seq - 1
	}
	if before > r.cursors[at] { // The outbox no longer goes back to there.
		err := w.net.do("the opening of settings from", r, to, func() error {
			return to.kept.Open(context.Background(), acme, r.id, before)
		})
		if err != nil {
			return false
		}
		r.cursors[at], some = before, true
	}
	for _, p := range positions {
		state, err := r.kept.Tell(context.Background(), acme, p.Namespace)
		if err != nil {
			return some
		}
		raw := encoded(state)
		err = w.net.do(fmt.Sprintf("position %d of settings from", p.Seq), r, to, func() error {
			state := &settingsv1.State{}
			if err := proto.Unmarshal(raw, state); err != nil {
				panic(err)
			}
			_, err := to.kept.ApplyRemote(context.Background(), acme, r.id, p.Seq, p.Namespace, state)
			return err
		})
		if err != nil {
			return some
		}
		r.cursors[at], some = p.Seq, true
	}
	return some
}

// forget prunes a region's outbox: what all were told, or also what they were not.
func (w *world) forget(r *region, lost bool) {
	through := ident.Seq(1 << 60)
	for _, o := range w.regions {
		if o != r {
			through = min(through, r.cursors[cursorKey{o.id}])
		}
	}
	if lost {
		reached, err := r.kept.Reached(context.Background(), acme)
		if err != nil {
			return
		}
		through = reached[r.id]
		w.notef("settings: %s waits for nobody", r.id)
	}
	_ = r.kept.Prune(context.Background(), acme, through)
}

// fetch has a region fetch all of another's settings, if it owes that.
func (w *world) fetch(r, from *region) bool {
	if r == from {
		return false
	}
	mark, err := r.kept.Watermark(context.Background(), acme, from.id)
	if err != nil || !mark.GetBehind() && len(mark.GetAhead()) == 0 {
		return false
	}
	var through ident.Seq
	states := make(map[string][]byte)
	err = w.net.do("all settings for", r, from, func() (err error) {
		through, err = from.kept.All(context.Background(), acme, func(name string, state *settingsv1.State) error {
			states[name] = encoded(state)
			return nil
		})
		return err
	})
	if err != nil {
		return false
	}
	for name, raw := range states {
		state := &settingsv1.State{}
		if err := proto.Unmarshal(raw, state); err != nil {
			panic(err)
		}
		if _, err := r.kept.ApplyRemote(context.Background(), acme, from.id, 0, name, state); err != nil {
			return false
		}
	}
	err = r.kept.Raise(context.Background(), acme, from.id, through)
	w.notef("settings: %s has fetched those of %s: %v", r.id, from.id, err)
	return err == nil
}

// settleSettings lets all be told, until nothing changes any more, and compares.
func (w *world) settleSettings() {
	w.now = w.now.Add(11 * time.Minute) // What the clock that was wrong has stamped waits until then.
	for round := 0; ; round++ {
		if round > 50 {
			w.failf("the settings do not come to rest")
			return
		}
		w.now = w.now.Add(time.Second)
		busy := false
		for _, r := range w.regions {
			report, err := r.kept.Maintain(context.Background(), acme)
			if err != nil && !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
				w.failf("settings of %s: %v", r.id, err)
			}
			busy = busy || report.Applied+report.Folded+report.Told+report.Forgotten > 0
			for _, to := range w.regions {
				busy = w.spread(r, to, 1000) || busy
				busy = w.fetch(r, to) || busy
			}
		}
		if !busy {
			break
		}
	}
	w.checkSettings()
}

func (w *world) checkSettings() {
	var first *settingsv1.State
	for _, r := range w.regions {
		state, err := r.kept.Tell(context.Background(), acme, namespace)
		if err != nil {
			w.failf("settings of %s: %v", r.id, err)
			return
		}
		state.Seen = nil // Of a namespace that is kept no more, it is what the watermarks say.
		if first == nil {
			first = state
		}
		if !crdt.Equal(first, state) {
			w.failf("settings: %s and %s differ:\n%v\n%v", w.regions[0].id, r.id, first, state)
		}
	}
	total := crdt.Shown(first)["c"].GetCount()
	for i, c := range w.settings.counts {
		if times := total >> (3 * i) & 7; times > 1 || c.acked && times != 1 {
			w.failf("settings: count %d, acknowledged: %v, counts %d times", i, c.acked, times)
		}
	}
}
