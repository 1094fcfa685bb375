package peer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// distances are the round trips of a topology.
func distances(top *topology.Topology) func(a, b ident.RegionID) time.Duration {
	return func(a, b ident.RegionID) time.Duration {
		i, _ := top.Index(a)
		j, _ := top.Index(b)
		return top.RoundTrip(i, j)
	}
}

func took(call func()) time.Duration {
	begin := time.Now()
	call()
	return time.Since(begin)
}

func TestDistance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, topologyfile.Default())
		w.inProcess(peer.FaultsConfig{RoundTrip: distances(w.topology)})
		trip := 88600 * time.Microsecond
		var arrived time.Duration
		begin := time.Now()
		w.regions[frankfurt].during = func(context.Context) { arrived = time.Since(begin) }
		if got := took(func() {
			if _, err := w.network(virginia).To(frankfurt).Digest(t.Context(), &peerv1.DigestRequest{Stream: stream()}); err != nil {
				t.Error(err)
			}
		}); got != trip || arrived != trip/2 {
			t.Errorf("a call took %s and arrived after %s; the round trip is %s", got, arrived, trip)
		}
		if got := took(func() { _, _ = send(t.Context(), w, virginia, virginia, "events", "x") }); got != 0 {
			t.Errorf("a call to the region itself took %s", got)
		}
		w.faults.Disturb(peer.Disturbance{Source: virginia, Lag: time.Second})
		if got := took(func() { _, _ = send(t.Context(), w, virginia, frankfurt, "events", "x") }); got != trip+time.Second {
			t.Errorf("with a lag a call took %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if got := took(func() {
			if _, err := send(ctx, w, virginia, frankfurt, "events", "late"); !errors.Is(err, peer.ErrUnreachable) {
				t.Errorf("a call without the time to arrive: %v", err)
			}
		}); got != 500*time.Millisecond {
			t.Errorf("it was given up after %s", got)
		}
		if diff := cmp.Diff([]string{"x"}, w.regions[frankfurt].events.bodies()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPartition(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	reaches := func(from, to ident.RegionID, want bool) {
		t.Helper()
		if _, err := send(t.Context(), w, from, to, "events", "x"); (err == nil) != want || err != nil && !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("from %s to %s: %v", from, to, err)
		}
	}
	w.faults.Partition(virginia)
	reaches(virginia, frankfurt, false)
	reaches(frankfurt, virginia, false)
	reaches(virginia, virginia, true)
	reaches(frankfurt, dublin, true)
	if diff := cmp.Diff([]string{"us-east-1 is partitioned from all others"}, w.faults.List()); diff != "" {
		t.Error(diff)
	}
	w.faults.Rejoin(virginia)
	reaches(virginia, frankfurt, true)

	w.faults.Cut(frankfurt, virginia)
	before := len(w.regions[frankfurt].events.bodies())
	reaches(frankfurt, virginia, false)
	reaches(virginia, frankfurt, false)
	if got := len(w.regions[frankfurt].events.bodies()); got != before+1 {
		t.Errorf("%d messages after a call whose answer is cut off, %d before", got, before)
	}
	w.faults.Disturb(peer.Disturbance{Destination: dublin, Lag: time.Second, Duplicate: 5, Reorder: 6, Drop: 7})
	if diff := cmp.Diff([]string{
		"nothing gets from eu-central-1 to us-east-1",
		"messages from anywhere to eu-west-1: 1s late, 5% arrive twice, 6% arrive after later ones, 7% are lost",
	}, w.faults.List()); diff != "" {
		t.Error(diff)
	}
	w.faults.Heal()
	reaches(virginia, frankfurt, true)
	reaches(frankfurt, virginia, true)
	if got := w.faults.List(); len(got) != 0 {
		t.Errorf("healed, but %v", got)
	}
}

// A partition that begins while a call is on its way takes its message or its answer.
func TestPartitionDuringACall(t *testing.T) {
	t.Parallel()
	for after, arrives := range map[time.Duration]bool{40 * time.Millisecond: false, 60 * time.Millisecond: true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, topologyfile.Default())
			w.inProcess(peer.FaultsConfig{RoundTrip: distances(w.topology)})
			time.AfterFunc(after, func() { w.faults.Partition(frankfurt) })
			if _, err := send(t.Context(), w, virginia, frankfurt, "events", "x"); !errors.Is(err, peer.ErrUnreachable) {
				t.Errorf("cut after %s: %v", after, err)
			}
			if got := len(w.regions[frankfurt].events.bodies()); (got == 1) != arrives {
				t.Errorf("cut after %s: %d messages arrived", after, got)
			}
		})
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	net := peer.NewInProcess(w.faults)
	for id, handler := range w.handlers {
		net.Join(id, handler)
	}
	w.network = net.From
	net.Leave(frankfurt)
	_, there := send(t.Context(), w, virginia, frankfurt, "events", "x")
	_, back := send(t.Context(), w, frankfurt, virginia, "events", "x")
	if !errors.Is(there, peer.ErrUnreachable) || !errors.Is(back, peer.ErrUnreachable) {
		t.Errorf("a region that has crashed is reached (%v) or reaches others (%v)", there, back)
	}
	net.Join(frankfurt, w.handlers[frankfurt])
	_, there = send(t.Context(), w, virginia, frankfurt, "events", "x")
	_, back = send(t.Context(), w, frankfurt, virginia, "events", "x")
	if there != nil || back != nil {
		t.Errorf("a region that is back: %v, %v", there, back)
	}
	// It crashes and is back while a call is inside.
	w.regions[frankfurt].during = func(context.Context) {
		net.Leave(frankfurt)
		net.Join(frankfurt, w.handlers[frankfurt])
	}
	if _, err := net.From(virginia).To(frankfurt).Digest(t.Context(), &peerv1.DigestRequest{Stream: stream()}); !errors.Is(err, peer.ErrUnreachable) {
		t.Errorf("the answer of a region's life before: %v", err)
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.faults.Disturb(peer.Disturbance{Source: virginia, Destination: frankfurt, Duplicate: 100})
	if _, err := send(t.Context(), w, virginia, frankfurt, "events", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := send(t.Context(), w, virginia, dublin, "events", "x"); err != nil {
		t.Fatal(err)
	}
	if a, b := len(w.regions[frankfurt].events.bodies()), len(w.regions[dublin].events.bodies()); a != 2 || b != 1 {
		t.Errorf("%d and %d messages", a, b)
	}
}

// A message that is overtaken arrives after the next of its direction; its caller has given it up.
func TestReordering(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.faults.Disturb(peer.Disturbance{Reorder: 100})
	for _, body := range []string{"1", "2"} {
		if _, err := send(t.Context(), w, virginia, frankfurt, "events", body); !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a message that is overtaken: %v", err)
		}
	}
	w.faults.Disturb(peer.Disturbance{})
	if _, err := send(t.Context(), w, dublin, frankfurt, "events", "other"); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"3", "4"} {
		if _, err := send(t.Context(), w, virginia, frankfurt, "events", body); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"other", "3", "1", "2", "4"}, w.regions[frankfurt].events.bodies()); diff != "" {
		t.Error(diff)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	for _, d := range []peer.Disturbance{{Source: virginia, Destination: frankfurt, Drop: 100}, {Source: frankfurt, Drop: 100}} {
		w.faults.Heal()
		w.faults.Disturb(d)
		if _, err := send(t.Context(), w, virginia, frankfurt, "events", "by-"+string(d.Source)); !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a message that is lost: %v", err)
		}
	}
	w.faults.Heal()
	_, _ = send(t.Context(), w, virginia, frankfurt, "events", "after")
	// What loses the answer has let the message through.
	if diff := cmp.Diff([]string{"by-eu-central-1", "after"}, w.regions[frankfurt].events.bodies()); diff != "" {
		t.Error(diff)
	}
}

// The same seed does the same, and about as often as was asked for.
func TestFaultsAreRepeatable(t *testing.T) {
	t.Parallel()
	const messages = 1000
	run := func(seed uint64) (arrived, outcomes []string) {
		w := newWorld(t, topologyfile.Default())
		w.inProcess(peer.FaultsConfig{Random: rand.NewPCG(seed, 0)})
		w.faults.Disturb(peer.Disturbance{Source: virginia, Duplicate: 20, Reorder: 20, Drop: 20})
		for i := range messages {
			_, err := send(t.Context(), w, virginia, frankfurt, "events", strconv.Itoa(i))
			outcomes = append(outcomes, strconv.FormatBool(err == nil))
		}
		return w.regions[frankfurt].events.bodies(), outcomes
	}
	arrived, outcomes := run(1)
	again, outcomesAgain := run(1)
	if !slices.Equal(arrived, again) || !slices.Equal(outcomes, outcomesAgain) {
		t.Error("one seed, two histories")
	}
	if other, _ := run(2); slices.Equal(arrived, other) {
		t.Error("two seeds, one history")
	}
	lost, twice, seen := messages, 0, make(map[string]int)
	for _, body := range arrived {
		seen[body]++
		switch seen[body] {
		case 1:
			lost--
		case 2:
			twice++
		}
	}
	if lost < 150 || lost > 250 || twice < 80 || twice > 200 || slices.IsSorted(arrived) {
		t.Errorf("%d of %d lost, %d twice", lost, messages, twice)
	}
}
