// Package topology has the regions of a deployment, in a form that the request path reads without a lock and without an allocation.
//
// A Topology is immutable and consistent: each region has an id and a port of its own, each jurisdiction has a home, each
// standby lies in its home's jurisdiction and has a third region as witness, and exactly one region is the control region.
// Whatever breaks that is refused by package topologyfile, which reads the topology file and is where all the rules stand. A topology
// that was checked there travels as bytes, made by Marshal, to programs that are too small to check one: Unmarshal refuses them when they
// were damaged on the way.
package topology

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// Index is the position of a region in its topology: less than MaxRegions, or NoRegion.
type Index uint8

const (
	// MaxRegions is how many regions a topology may have, so that a set of them is a uint32 of bits.
	MaxRegions = 32
	// NoRegion is the absence of a region, e.g. of a standby.
	NoRegion Index = 255
)

// The ports that the file's ports are relative to.
const (
	// GlobalPort stands for the global name, unless a port base moves it.
	GlobalPort = 8080
	// OperationsOffset is how far an operations port lies above the port that it belongs to: the platform's above the global
	// one (8090), a single region's process above the region's.
	OperationsOffset = 10
	// MaxPort is the highest port that there is.
	MaxPort = 65535
)

// Topology is the regions of a deployment. It never changes, so any number of goroutines may read it.
type Topology struct {
	message *topologyv1.Topology
	byID    map[ident.RegionID]Index
	// defaulted has the regions whose file entry gives no endpoint; theirs follow the port.
	defaulted uint32
	base      int
	control   Index
	count     uint8
	// law has, for each region, the index of the first region of its jurisdiction; two regions share a jurisdiction if and
	// only if they share that number. What lies beyond count is NoRegion, so a look-up needs no length check.
	law     [256]Index
	roles   [MaxRegions]uint8
	nearest nearestTable
	// roundTrips has a row of count entries for each region.
	roundTrips []time.Duration
}

// ErrUnchecked is the refusal of a message that topologyfile would have refused, and of which no Topology can be made.
var ErrUnchecked = errors.New("topology: the message was not checked")

// FromChecked makes the topology of a message that topologyfile has checked, and takes the message over. It is for that package and for
// those who carry what it has checked: here only what would break a Topology itself is refused, with ErrUnchecked. To make a topology in
// code, call topologyfile.New.
func FromChecked(message *topologyv1.Topology) (*Topology, error) {
	if err := checkForm(message); err != nil {
		return nil, err
	}
	t := &Topology{
		message: message,
		byID:    make(map[ident.RegionID]Index, len(message.GetRegions())),
		base:    GlobalPort,
		control: NoRegion,
	}
	for i := range t.law {
		t.law[i] = NoRegion
	}
	first := make(map[string]Index)
	for _, region := range message.GetRegions() {
		at := Index(t.count)
		t.count++
		t.byID[ident.RegionID(region.GetId())] = at
		law, known := first[region.GetJurisdiction()]
		if !known {
			law = at
			first[region.GetJurisdiction()] = at
		}
		t.law[at] = law
		for _, role := range region.GetRoles() {
			t.roles[at] |= roleBit(role)
			if role == topologyv1.Role_ROLE_CONTROL {
				t.control = at
			}
		}
		if region.GetEndpoint() == "" {
			t.defaulted |= 1 << at
			region.Endpoint = LocalEndpoint(region.GetPort())
		}
		region.Endpoint = strings.TrimRight(region.GetEndpoint(), "/")
		region.ServicesEndpoint = strings.TrimRight(region.GetServicesEndpoint(), "/")
	}
	t.nearest = newNearestTable(t)
	t.roundTrips = newRoundTrips(t)
	return t, nil
}

// checkForm refuses what a Topology's tables have no place for.
func checkForm(message *topologyv1.Topology) error {
	ids, controls := make(map[string]bool, len(message.GetRegions())), 0
	for _, region := range message.GetRegions() {
		if region.GetId() == "" || ids[region.GetId()] {
			return fmt.Errorf("%w: a region without an id of its own", ErrUnchecked)
		}
		ids[region.GetId()] = true
		if slices.Contains(region.GetRoles(), topologyv1.Role_ROLE_CONTROL) {
			controls++
		}
	}
	if len(ids) > MaxRegions || controls != 1 {
		return fmt.Errorf("%w: %d regions, %d of them the control region", ErrUnchecked, len(ids), controls)
	}
	for _, trip := range message.GetRoundTripTimes() {
		if len(trip.GetBetween()) != 2 || !ids[trip.GetBetween()[0]] || !ids[trip.GetBetween()[1]] {
			return fmt.Errorf("%w: a round trip that is not between two regions", ErrUnchecked)
		}
	}
	return nil
}

func roleBit(role topologyv1.Role) uint8 {
	if role <= 0 || role >= 8 {
		return 0
	}
	return 1 << uint8(role)
}

// LocalEndpoint returns the URL of a region that the file gives none: its port on this machine.
func LocalEndpoint(port int32) string {
	return "http://127.0.0.1:" + strconv.Itoa(int(port))
}

// Len returns the number of regions. Their indexes are 0 to Len-1, in the file's order.
func (t *Topology) Len() int { return int(t.count) }

// Has tells whether i is a region of this topology.
func (t *Topology) Has(i Index) bool { return uint8(i) < t.count }

// Region returns what the file says of a region, its endpoint filled in; nil if there is no such region. It must not be changed.
func (t *Topology) Region(i Index) *topologyv1.Region {
	if !t.Has(i) {
		return nil
	}
	return t.message.GetRegions()[i]
}

// Index returns the position of the region with that id.
func (t *Topology) Index(id ident.RegionID) (Index, bool) {
	i, ok := t.byID[id]
	if !ok {
		return NoRegion, false
	}
	return i, true
}

// ID returns a region's id; ident.NoRegion if there is no such region.
func (t *Topology) ID(i Index) ident.RegionID { return ident.RegionID(t.Region(i).GetId()) }

// Control returns the region that writes tenants, keys and plans.
func (t *Topology) Control() Index { return t.control }

// Is tells whether a region has a role.
func (t *Topology) Is(i Index, role topologyv1.Role) bool {
	return t.Has(i) && t.roles[i]&roleBit(role) != 0
}

// Standby returns the region that a home names as its standby; NoRegion if it names none.
func (t *Topology) Standby(home Index) Index { return t.named(t.Region(home).GetStandby()) }

// Witness returns the region that votes on the lease of a home and its standby; NoRegion if the home names none.
func (t *Topology) Witness(home Index) Index { return t.named(t.Region(home).GetWitness()) }

func (t *Topology) named(id string) Index {
	i, _ := t.Index(ident.RegionID(id))
	return i
}

// Jurisdiction returns the jurisdiction of a region; empty if there is no such region.
func (t *Topology) Jurisdiction(i Index) ident.Jurisdiction {
	return ident.Jurisdiction(t.Region(i).GetJurisdiction())
}

// SameJurisdiction tells whether one body of law covers both regions. It is false if either is not a region of this topology.
func (t *Topology) SameJurisdiction(a, b Index) bool {
	return t.law[a] == t.law[b] && t.law[a] != NoRegion
}

// Endpoint returns the URL that clients and other regions reach a region at, without a slash at its end; empty if there is
// no such region.
func (t *Topology) Endpoint(i Index) string { return t.Region(i).GetEndpoint() }

// Services returns the URL that edges and other regions reach a region's services at, without a slash at its end: the endpoint, unless
// the file gives another. It is empty if there is no such region.
func (t *Topology) Services(i Index) string {
	if services := t.Region(i).GetServicesEndpoint(); services != "" {
		return services
	}
	return t.Endpoint(i)
}

// ServicesApart tells whether a region's services are reached elsewhere than its edge.
func (t *Topology) ServicesApart(i Index) bool { return t.Region(i).GetServicesEndpoint() != "" }

// Port returns the local TCP port of a region's edge and services, moved by the port base; 0 if there is no such region.
func (t *Topology) Port(i Index) int { return int(t.Region(i).GetPort()) }

// GlobalPort returns the local TCP port that stands for the global name.
func (t *Topology) GlobalPort() int { return t.base }

// OperationsPort returns the local TCP port of health, metrics and the operator's console of the whole platform.
func (t *Topology) OperationsPort() int { return t.base + OperationsOffset }

// Nearest returns the region nearest to a country by great-circle distance. The country is an ISO 3166-1 alpha-2 code in
// either case; for an unknown one the answer is the control region. Regions without coordinates are never nearest.
func (t *Topology) Nearest(country string) Index { return t.nearest.lookup(country, t.control) }

// WithPortBase returns the topology with all local ports moved by n - 8080, and with them the endpoints that the file does not
// give. It refuses an n at which a port would leave 1 to 65535.
func (t *Topology) WithPortBase(n int) (*Topology, error) {
	shift := n - t.base
	lowest, highest := n, n+OperationsOffset
	for _, region := range t.message.GetRegions() {
		port := int(region.GetPort()) + shift
		lowest, highest = min(lowest, port), max(highest, port+OperationsOffset)
	}
	if n < 1 || n > MaxPort || lowest < 1 || highest > MaxPort {
		return nil, fmt.Errorf("port base %d needs the ports %d to %d: choose one between %d and %d",
			n, lowest, highest, n-lowest+1, n-highest+MaxPort)
	}
	moved := *t
	moved.base = n
	moved.message = proto.CloneOf(t.message)
	for set := t.defaulted; set != 0; set &= set - 1 {
		region := moved.message.GetRegions()[bits.TrailingZeros32(set)]
		region.Endpoint = LocalEndpoint(region.GetPort() + int32(shift)) //nolint:gosec // Both ends were checked above.
	}
	for _, region := range moved.message.GetRegions() {
		region.Port += int32(shift) //nolint:gosec // Both ends were checked above.
	}
	return &moved, nil
}

// Proto returns a copy of the topology as a message, ports moved by the port base and endpoints filled in.
func (t *Topology) Proto() *topologyv1.Topology { return proto.CloneOf(t.message) }

// Regions returns the indexes of all regions in the file's order.
func (t *Topology) Regions() []Index {
	all := make([]Index, 0, t.count)
	for i := range Index(t.count) {
		all = append(all, i)
	}
	return slices.Clip(all)
}

// IDs returns the ids of all regions, in the order of the file.
func (t *Topology) IDs() []ident.RegionID {
	all := make([]ident.RegionID, 0, t.Len())
	for _, i := range t.Regions() {
		all = append(all, t.ID(i))
	}
	return all
}
