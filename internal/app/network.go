package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/domicile-api/domicile/gen/domicile/peer/v1/peerv1connect"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
)

// network is how the regions of this process reach each other, with the faults that an operator injects, and those of other processes.
type network struct {
	faults *peer.Faults
	inside *peer.InProcess
	// ours are the regions of this process.
	ours map[ident.RegionID]bool
	// regionOf tells a region by its address, for the model of the calls that edges forward.
	regionOf func(address string) (ident.RegionID, bool)
}

func newNetwork(cfg Config) *network {
	faults := peer.FaultsConfig{}
	if cfg.WAN {
		faults.RoundTrip = func(a, b ident.RegionID) time.Duration {
			i, _ := cfg.Topology.Index(a)
			j, _ := cfg.Topology.Index(b)
			return cfg.Topology.RoundTrip(i, j)
		}
	}
	n := &network{faults: peer.NewFaults(faults), ours: make(map[ident.RegionID]bool), regionOf: peer.Addresses(cfg.Topology)}
	n.inside = peer.NewInProcess(n.faults)
	for _, id := range cfg.regions() {
		n.ours[id] = true
	}
	return n
}

// dial makes connections of a region's edge to other regions of the process meet the network's faults and distances. A region that is
// alone in its process has a real network, and none of it.
func (n *network) dial(from ident.RegionID) func(edge.DialFunc) edge.DialFunc {
	if len(n.ours) < 2 {
		return nil
	}
	return func(next edge.DialFunc) edge.DialFunc { return n.faults.Dial(from, n.regionOf)(next) }
}

// peers are what one region has of the others, and they of it.
type peers struct {
	region  *region
	network *network
	outside *peer.Connect
	server  *peer.Server
	// path is where signed calls of other processes come in, at the region's port.
	path    string
	handler http.Handler
	key     *peer.Key
	keys    peer.Keys
}

// peerKeys recognise other regions.
func (r *region) peerKeys() peer.Keys {
	if r.res.PeerKeys != nil {
		return r.res.PeerKeys
	}
	return publishedKeys{r}
}

// publishedKeys are the peer keys in the region's directory.
type publishedKeys struct{ region *region }

// PeerKey implements peer.Keys.
func (p publishedKeys) PeerKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	if p.region.directory == nil {
		return nil, false
	}
	return p.region.directory.Index.PeerKey(region, keyID)
}

// openPeers makes the region's way to others. What it does for them follows in openSync.
func (r *region) openPeers(p *Platform) error {
	if r.edgeOnly {
		return nil
	}
	r.peers.key, r.peers.keys = peer.NewKey(r.res.PeerSeed), r.peerKeys()
	var err error
	r.peers.outside, err = peer.NewConnect(peer.ConnectConfig{
		Region: r.id, Topology: p.cfg.Topology, Key: r.peers.key, Clock: p.cfg.Clock, Random: p.cfg.Random,
		OperateTimeout: operatorsTimeout,
	})
	if err != nil {
		return fmt.Errorf("opening the way from %s to other regions: %w", r.id, err)
	}
	return nil
}

// To implements peer.Network.
func (ps *peers) To(region ident.RegionID) peerv1connect.PeerServiceClient {
	if ps.network.ours[region] {
		return ps.network.inside.From(ps.region.id).To(region)
	}
	return ps.outside.To(region)
}

// courier carries tenants' keys to other regions, wrapped by the backend's way or under the keys that those have published.
func (ps *peers) courier(r *region) seal.Courier {
	courier, err := peer.NewCourier(peer.CourierConfig{
		Network:   ps,
		PublicKey: func(region ident.RegionID) ([]byte, bool) { return r.directory.Index.WrappingKey(region) },
		Wrap: func(ctx context.Context, region ident.RegionID, public []byte, tenant ident.TenantID, keyset []byte) ([]byte, error) {
			if r.res.WrapFor != nil {
				return r.res.WrapFor(ctx, region, tenant, keyset)
			}
			recipient, err := local.NewRecipient(region, public)
			if err != nil {
				return nil, fmt.Errorf("reading the wrapping key of %s: %w", region, err)
			}
			return recipient.Wrap(ctx, tenant, keyset)
		},
	})
	if err != nil {
		panic(err) // All fields are given.
	}
	return courier
}

// serve says what the region does for others.
func (ps *peers) serve(cfg Config, server peer.ServerConfig) error {
	var err error
	if ps.server, err = peer.NewServer(server); err != nil {
		return fmt.Errorf("making what %s does for other regions: %w", ps.region.id, err)
	}
	ps.path, ps.handler, err = peer.NewHandler(peer.HandlerConfig{
		Region: ps.region.id, Keys: ps.keys, Service: ps.server, Clock: cfg.Clock, Logger: ps.region.logger,
	})
	if err != nil {
		return fmt.Errorf("making what %s answers other regions with: %w", ps.region.id, err)
	}
	return nil
}

// beside puts what other regions' processes call beside the edge.
func (ps *peers) beside(edge http.Handler) http.Handler {
	if ps.handler == nil {
		return edge
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ps.path) {
			ps.handler.ServeHTTP(w, r)
			return
		}
		edge.ServeHTTP(w, r)
	})
}

// join lets the regions of the process reach this one; leave ends it.
func (ps *peers) join() {
	if ps.server != nil {
		ps.network.inside.Join(ps.region.id, ps.server)
	}
}

func (ps *peers) leave() { ps.network.inside.Leave(ps.region.id) }

func (ps *peers) close() error {
	if ps.outside == nil {
		return nil
	}
	return errors.Join(ps.outside.Close())
}
