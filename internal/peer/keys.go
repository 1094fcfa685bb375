package peer

import (
	"crypto/ed25519"
	"path/filepath"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/topology"
)

// Keys knows the public keys by which regions are recognised.
type Keys interface {
	// PeerKey returns the key of that id that a region signs its calls with, and whether there is one.
	PeerKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool)
}

const (
	// knownFor is how long the keys of a folder are taken for the present ones: how long a withdrawn key is still accepted.
	knownFor = 5 * time.Second
	// unknownFor is how long a key that was looked for in vain is not looked for again: a forger reads no more files than that.
	unknownFor = 250 * time.Millisecond
)

// Trusted are the keys of the regions of a topology: those of its file, and for a region that the file gives none of, those in its
// folder of the data folder, if regions share one. It is safe for concurrent use.
//
// They are not in the directory, because the directory is what is replicated first: whoever brings it must be recognised before it
// is there, and whoever could write it could make itself a region.
type Trusted struct {
	topology *topology.Topology
	data     string
	clock    func() time.Time

	mu      sync.Mutex
	folders map[ident.RegionID]folder
}

// folder is what was found in a region's folder, and when.
type folder struct {
	keys map[string]ed25519.PublicKey
	read time.Time
}

var _ Keys = (*Trusted)(nil)

// NewTrusted returns the keys of a topology's regions. data is the folder with a folder for each region; empty if regions share none.
// The clock is time.Now in production.
func NewTrusted(t *topology.Topology, data string, clock func() time.Time) *Trusted {
	return &Trusted{topology: t, data: data, clock: clock, folders: make(map[ident.RegionID]folder)}
}

// PeerKey implements Keys. A region of the topology alone has keys: what the caller says of itself never becomes a path.
func (t *Trusted) PeerKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	i, ok := t.topology.Index(region)
	if !ok {
		return nil, false
	}
	if given := t.topology.PeerKeys(i); len(given) > 0 {
		return find(byID(given), keyID)
	}
	if t.data == "" {
		return nil, false
	}
	return t.inFolder(region, keyID)
}

func (t *Trusted) inFolder(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, now := t.folders[region], t.clock()
	key, ok := find(have.keys, keyID)
	age, limit := now.Sub(have.read), unknownFor
	if ok {
		limit = knownFor
	}
	if !have.read.IsZero() && age >= 0 && age < limit {
		return key, ok
	}
	// Keys that cannot be read are none: a file that is gone or torn withdraws them.
	keys, err := readPublic(filepath.Join(t.data, string(region), publicName))
	if err != nil {
		keys = nil
	}
	have = folder{keys: byID(keys), read: now}
	t.folders[region] = have
	return find(have.keys, keyID)
}

func byID(keys []ed25519.PublicKey) map[string]ed25519.PublicKey {
	out := make(map[string]ed25519.PublicKey, len(keys))
	for _, key := range keys {
		out[routeheader.KeyID(key)] = key
	}
	return out
}

func find(keys map[string]ed25519.PublicKey, id string) (ed25519.PublicKey, bool) {
	key, ok := keys[id]
	return key, ok
}
