package crdt_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/ident"
)

// A stamp is later than all that its author knows and never further than MaxDrift from the author's clock.
func TestTick(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMicro(rapid.Int64Range(1e12, 1e12+10).Draw(t, "now"))
		known := make([]*settingsv1.Stamp, rapid.IntRange(0, 4).Draw(t, "known"))
		ahead := false
		for i := range known {
			known[i] = &settingsv1.Stamp{
				Wall:    now.UnixMicro() + rapid.Int64Range(-600_000, 600_000).Draw(t, "off"),
				Logical: rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Just(uint32(1<<32-1))).Draw(t, "logical"),
			}
			ahead = ahead || known[i].GetWall() > now.Add(crdt.MaxDrift).UnixMicro()
		}
		s, err := crdt.Tick(now, known...)
		if _, drifted := errors.AsType[*crdt.DriftError](err); drifted != ahead || (err != nil) != ahead {
			t.Fatalf("ahead: %v, and %v", ahead, err)
		}
		if err != nil {
			return
		}
		if s.GetWall() < now.UnixMicro() || s.GetWall() > now.Add(crdt.MaxDrift).UnixMicro()+1 {
			t.Fatalf("%v at %v", s, now)
		}
		for _, k := range known {
			if crdt.CompareStamps(s, k) <= 0 {
				t.Fatalf("%v is not later than %v", s, k)
			}
		}
	})
}

func TestPeers(t *testing.T) {
	t.Parallel()
	const wrong = 10 * time.Minute
	for name, test := range map[string]struct {
		offsets []time.Duration
		refused bool
	}{
		"alone":                            {nil, false},
		"all agree":                        {[]time.Duration{0, 200 * time.Millisecond, -300 * time.Millisecond}, false},
		"one of five is wrong":             {[]time.Duration{0, 0, 0, 0, wrong}, false},
		"one of two is wrong":              {[]time.Duration{0, -wrong}, false},
		"half of four are wrong":           {[]time.Duration{wrong, 0, 0, wrong}, false},
		"all say that it is late":          {[]time.Duration{wrong, wrong, wrong}, true},
		"all say that it is early":         {[]time.Duration{-wrong, -wrong}, true},
		"most say so, one is as wrong":     {[]time.Duration{-wrong, -wrong, 0}, true},
		"the only one disagrees":           {[]time.Duration{-wrong}, true},
		"just within the bound":            {[]time.Duration{crdt.MaxDrift, crdt.MaxDrift}, false},
		"just beyond it":                   {[]time.Duration{crdt.MaxDrift + 1, crdt.MaxDrift + 1}, true},
		"they are beyond it on both sides": {[]time.Duration{-wrong, 0, wrong}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, now := crdt.NewPeers(time.Hour), time.Unix(1_700_000_000, 0)
			for i, offset := range test.offsets {
				peer := ident.RegionID(rune('a' + i))
				p.Observe(peer, now.Add(-crdt.MaxDrift-1), now.Add(wrong), now) // too slow to say anything
				p.Observe(peer, now, now.Add(-time.Millisecond), now.Add(-time.Millisecond))
				p.Observe(peer, now.Add(-100*time.Millisecond), now.Add(offset-50*time.Millisecond), now)
			}
			_, refused := errors.AsType[*crdt.SkewError](p.Check(now))
			if refused != test.refused {
				t.Errorf("refused: %v", refused)
			}
			if err := p.Check(now.Add(2 * time.Hour)); err != nil {
				t.Errorf("what is long past counts: %v", err)
			}
			if name == "all agree" && p.Check(now.Add(-wrong)) == nil {
				t.Error("a clock that was set back ten minutes is believed")
			}
		})
	}
}

// A region whose clock is wrong refuses by itself; without that, it would win against all later writes until time has caught up.
func TestWrongClockNeverWins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range 3 - min(len(w.replicas), 3) {
			w.replicas = append(w.replicas, &replica{name: string(rune('x')), state: &settingsv1.State{}, shown: map[string]*settingsv1.Shown{}})
		}
		wrong := w.draw(t)
		wrong.skew = rapid.SampledFrom([]time.Duration{-10 * time.Minute, 10 * time.Minute}).Draw(t, "skew")
		last := map[string]time.Time{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.now = w.now.Add(time.Second)
			r := w.draw(t)
			peers := crdt.NewPeers(time.Hour)
			for _, o := range w.replicas {
				if o != r {
					peers.Observe(ident.RegionID(o.name), w.clock(r), w.clock(o), w.clock(r))
				}
			}
			if (peers.Check(w.clock(r)) != nil) != (r == wrong) {
				t.Fatalf("%s of %s is believed or not", r.name, wrong.name)
			}
			if r == wrong {
				continue
			}
			if err := w.edit(r, func(e *crdt.Edit) error { _, err := w.set(e, r, "v", w.now.Unix()); return err }); err != nil {
				t.Fatal(err)
			}
			last["v"] = w.now
		}
		s := w.settle(t)
		if at, wrote := last["v"]; wrote && crdt.Show(s.GetEntries()["v"]).GetValue().GetIntValue() != at.Unix() {
			t.Fatalf("the last write does not show: %v", s)
		}
	})
}
