package portal

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

const pathRegions = "/docs/regions.json"

// lookAgain is how old an answer may be that other callers get as well: whoever asks without a key makes this region ask the others no more
// often than this.
const lookAgain = 5 * time.Second

// lookTimeout bounds how long the others are waited for.
const lookTimeout = 2 * time.Second

// The states of a region, as another sees it.
const (
	stateHere        = "here"
	stateReachable   = "reachable"
	stateUnreachable = "unreachable"
	stateUnknown     = "unknown"
)

// lookout answers what the region sees of the others.
type lookout struct {
	cfg Config

	mu   sync.Mutex
	seen []byte
	at   time.Time
}

func newLookout(cfg Config) *lookout { return &lookout{cfg: cfg} }

// view is the body of regions.json.
type view struct {
	SeenFrom string       `json:"seen_from"`
	SeenAt   string       `json:"seen_at"`
	Regions  []regionView `json:"regions"`
}

type regionView struct {
	ID           string   `json:"id"`
	Place        string   `json:"place"`
	Jurisdiction string   `json:"jurisdiction"`
	Roles        []string `json:"roles"`
	Standby      string   `json:"standby,omitempty"`
	URL          string   `json:"url"`
	Latitude     float64  `json:"latitude"`
	Longitude    float64  `json:"longitude"`
	State        string   `json:"state"`
	RoundTrip    *float64 `json:"round_trip_milliseconds,omitempty"`
}

// ServeHTTP implements http.Handler.
func (l *lookout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := l.look(r.Context())
	if err != nil {
		http.Error(w, "the answer could not be written", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", typeJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(body); err != nil {
		return // The caller has gone.
	}
}

// look asks the others, unless somebody has just done it. Those who come meanwhile wait for the same answer. The asking goes on when the
// caller goes: others want to know it, too.
func (l *lookout) look(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Clock()
	if l.seen != nil && now.Sub(l.at) < lookAgain {
		return l.seen, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	from, sights := l.cfg.Look(ctx)
	seen := view{SeenFrom: string(from), SeenAt: now.UTC().Format(time.RFC3339), Regions: []regionView{}}
	for _, i := range l.cfg.Topology.Regions() {
		seen.Regions = append(seen.Regions, l.regionView(i, from, sights))
	}
	body, err := json.Marshal(seen)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what was being done
	}
	l.seen, l.at = body, now
	return body, nil
}

func (l *lookout) regionView(i topology.Index, from ident.RegionID, sights map[ident.RegionID]Sight) regionView {
	r := l.cfg.Topology.Region(i)
	v := regionView{
		ID: r.GetId(), Place: r.GetPlace(), Jurisdiction: r.GetJurisdiction(), Roles: rolesOf(l.cfg.Topology, i), Standby: r.GetStandby(),
		URL: r.GetEndpoint(), Latitude: r.GetLatitude(), Longitude: r.GetLongitude(), State: stateUnknown,
	}
	sight := sights[ident.RegionID(r.GetId())]
	switch {
	case v.ID == string(from):
		v.State = stateHere
	case sight.Answered:
		v.State = stateReachable
		took := float64(sight.RoundTrip.Microseconds()) / 1000
		v.RoundTrip = &took
	case sight.Asked:
		v.State = stateUnreachable
	}
	return v
}

// rolesOf returns a region's roles as the topology file writes them.
func rolesOf(t *topology.Topology, i topology.Index) []string {
	roles := make([]string, 0, len(t.Region(i).GetRoles()))
	for _, role := range t.Region(i).GetRoles() {
		roles = append(roles, strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")))
	}
	return roles
}
