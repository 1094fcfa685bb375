package peer_test

import (
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// A region whose clock is wrong learns it from what it sends: most of the others disagree. One of the others that is wrong harms nobody.
func TestSendingComparesClocks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for name, tt := range map[string]struct {
		own    time.Duration
		others map[ident.RegionID]time.Duration
		wrong  bool
	}{
		"all agree":         {0, map[ident.RegionID]time.Duration{dublin: 0, virginia: 0, singapore: 100 * time.Millisecond}, false},
		"another is ahead":  {0, map[ident.RegionID]time.Duration{dublin: 0, virginia: 0, singapore: 10 * time.Minute}, false},
		"ten minutes ahead": {10 * time.Minute, map[ident.RegionID]time.Duration{dublin: 0, virginia: 0, singapore: 0}, true},
		"a second behind":   {-time.Second, map[ident.RegionID]time.Duration{dublin: 0, virginia: 0, singapore: 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := peer.NewInProcess(peer.NewFaults(peer.FaultsConfig{}))
			for id, skew := range tt.others {
				server, err := peer.NewServer(peer.ServerConfig{
					Region: id, Topology: topologyfile.Default(), Queues: map[string]peer.Inbox{"events": {Queue: &box{}, AnyRegion: true}},
					Clock: func() time.Time { return now.Add(skew) },
				})
				if err != nil {
					t.Fatal(err)
				}
				network.Join(id, server)
			}
			clock := func() time.Time { return now.Add(tt.own) }
			clocks := crdt.NewPeers(time.Minute)
			sender := peer.NewSender(network.From(frankfurt)).Comparing(clock, clocks)
			for id := range tt.others {
				if _, err := sender.Send(t.Context(), id, "events", []queue.Outgoing{message("hello")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := clocks.Check(clock()); (err != nil) != tt.wrong {
				t.Errorf("the clock is wrong: %v, want %t", err, tt.wrong)
			}
		})
	}
}
