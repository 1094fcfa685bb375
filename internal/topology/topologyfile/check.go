package topologyfile

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// noStandby is what a tenant's policy says for "no standby", so that no region can be called so.
const noStandby = "none"

// checker looks at what the regions mean to each other. A value that an earlier pass refused counts as not known: nothing is
// concluded from it.
type checker struct {
	doc     *document
	regions []*topologyv1.Region
	trips   []*topologyv1.RoundTripTime
	// byID has the first region of each id.
	byID map[string]int
}

// checkRegions reports what breaks the promises of package topology.
func checkRegions(doc *document, message *topologyv1.Topology) {
	if doc.isBroken("regions") {
		return
	}
	c := &checker{doc: doc, regions: message.GetRegions(), trips: message.GetRoundTripTimes(), byID: make(map[string]int)}
	c.checkIDs()
	for i := range c.regions {
		c.checkPair(i)
		c.checkCoordinates(i)
		c.checkPeerKeys(i)
	}
	c.checkHomes()
	c.checkControl()
	c.checkPorts()
	c.checkEndpoints()
	c.checkRoundTrips()
}

// known tells whether the file says a field of a region and no earlier pass refused it.
func (c *checker) known(region int, field string) bool {
	path := regionPath(region, field)
	return c.doc.nodes[path] != nil && !c.doc.isBroken(path)
}

func (c *checker) node(region int, field string) *yaml.Node {
	return c.doc.closest(regionPath(region, field))
}

func (c *checker) line(region int, field string) int { return c.node(region, field).Line }

func (c *checker) addf(region int, field, advice, format string, args ...any) {
	c.doc.add(regionPath(region, field), c.node(region, field), fmt.Sprintf(format, args...), advice)
}

func (c *checker) has(region int, role topologyv1.Role) bool {
	return slices.Contains(c.regions[region].GetRoles(), role)
}

func (c *checker) checkIDs() {
	for i, region := range c.regions {
		if !c.known(i, "id") {
			continue
		}
		first, taken := c.byID[region.GetId()]
		switch {
		case taken:
			c.addf(i, "id", "give each region an id of its own",
				"two regions have the id %s; the first is in line %d", region.GetId(), c.line(first, "id"))
		case region.GetId() == noStandby:
			c.addf(i, "id", "choose another id", `a region cannot be called %q, which is how a tenant says that it has no standby`, noStandby)
		default:
			c.byID[region.GetId()] = i
		}
	}
}

// checkPair looks at a home, its standby and their witness.
func (c *checker) checkPair(home int) {
	region := c.regions[home]
	standby, witness := region.GetStandby(), region.GetWitness()
	if !c.known(home, "standby") {
		standby = ""
	}
	if !c.known(home, "witness") {
		witness = ""
	}
	if standby == "" {
		c.checkLoneWitness(home, witness)
		return
	}
	if c.known(home, "roles") && !c.has(home, topologyv1.Role_ROLE_HOME) {
		c.addf(home, "standby", "add home to its roles, or take its standby and witness away",
			"a region that is no home has a standby")
	}
	c.checkStandby(home, standby)
	c.checkWitness(home, standby, witness)
}

func (c *checker) checkLoneWitness(home int, witness string) {
	if witness != "" && !c.doc.isBroken(regionPath(home, "standby")) {
		c.addf(home, "witness", "add the standby, or take the witness away",
			"a witness without a standby has nothing to vote on")
	}
}

func (c *checker) checkStandby(home int, id string) {
	at, found := c.byID[id]
	switch {
	case !found:
		c.addUnknownRegion(home, "standby", id)
	case at == home:
		c.addf(home, "standby", "name another region of the jurisdiction, or leave the standby out",
			"a region cannot be its own standby")
	case c.known(home, "jurisdiction") && c.known(at, "jurisdiction") &&
		c.regions[home].GetJurisdiction() != c.regions[at].GetJurisdiction():
		c.addf(home, "standby", "name a region of "+c.regions[home].GetJurisdiction()+", or leave the standby out",
			"the standby %s is in another jurisdiction: %s, not %s", id,
			c.regions[at].GetJurisdiction(), c.regions[home].GetJurisdiction())
	case c.known(at, "roles") && !c.has(at, topologyv1.Role_ROLE_STANDBY):
		c.addf(home, "standby", fmt.Sprintf("add standby to the roles in line %d, or name another region", c.line(at, "roles")),
			"%s does not have the role standby", id)
	}
}

func (c *checker) checkWitness(home int, standby, witness string) {
	path := regionPath(home, "witness")
	advice := "name a third region, which votes on the lease of the two and holds no data"
	_, found := c.byID[witness]
	switch {
	case c.doc.isBroken(path):
	case witness == "":
		c.addf(home, "standby", "add a witness: "+strings.TrimPrefix(advice, "name "), "a standby without a witness")
	case witness == standby:
		c.addf(home, "witness", advice, "the witness is the standby itself")
	case witness == c.regions[home].GetId() && c.known(home, "id"):
		c.addf(home, "witness", advice, "the witness is the home itself")
	case !found:
		c.addUnknownRegion(home, "witness", witness)
	}
}

// addUnknownRegion reports an id that no region has. It is silent while a region's id is not known: it may be that one.
func (c *checker) addUnknownRegion(region int, field, id string) {
	c.addUnknown(regionPath(region, field), id)
}

// addUnknown is addUnknownRegion for any path.
func (c *checker) addUnknown(path, id string) {
	ids := make([]string, 0, len(c.regions))
	for i := range c.regions {
		if !c.known(i, "id") {
			return
		}
		ids = append(ids, c.regions[i].GetId())
	}
	c.doc.add(path, c.doc.closest(path), fmt.Sprintf("there is no region %.40q", id),
		"name one of "+strings.Join(ids, ", ")+", or add a region with that id")
}

// checkCoordinates refuses half a place, which would be far from where the region is.
func (c *checker) checkCoordinates(region int) {
	latitude, longitude := c.doc.nodes[regionPath(region, "latitude")], c.doc.nodes[regionPath(region, "longitude")]
	switch {
	case (latitude == nil) == (longitude == nil):
	case latitude == nil:
		c.addf(region, "longitude", "add the latitude; without both, no caller is sent here for being near", "a longitude without a latitude")
	default:
		c.addf(region, "latitude", "add the longitude; without both, no caller is sent here for being near", "a latitude without a longitude")
	}
}

// checkHomes looks for a home in each jurisdiction.
func (c *checker) checkHomes() {
	homes := make(map[ident.Jurisdiction]bool)
	for i, region := range c.regions {
		// A region whose roles are not known may be the home.
		if !c.known(i, "roles") || c.has(i, topologyv1.Role_ROLE_HOME) {
			if !c.known(i, "jurisdiction") {
				return // It may be the home of any.
			}
			homes[ident.Jurisdiction(region.GetJurisdiction())] = true
		}
	}
	for i, region := range c.regions {
		law := ident.Jurisdiction(region.GetJurisdiction())
		if !c.known(i, "jurisdiction") || homes[law] {
			continue
		}
		homes[law] = true // Once is enough.
		c.addf(i, "jurisdiction", "add home to the roles of one of its regions, or put the region into a jurisdiction that has a home",
			"the jurisdiction %s has no home", law)
	}
}

// checkControl looks for exactly one control region.
func (c *checker) checkControl() {
	first, unknown := -1, false
	for i, region := range c.regions {
		if !c.known(i, "roles") {
			unknown = true
			continue
		}
		at := slices.Index(region.GetRoles(), topologyv1.Role_ROLE_CONTROL)
		switch {
		case at < 0:
		case first < 0:
			first = i
		default:
			c.addf(i, fmt.Sprintf("roles[%d]", at), "leave control to one region, which writes tenants, keys and plans",
				"a second region has the role control; the first is in line %d", c.line(first, "roles"))
		}
	}
	if first < 0 && !unknown {
		c.doc.add("regions", c.doc.closest("regions"), "no region has the role control",
			"add control to the roles of one region, which writes tenants, keys and plans")
	}
}
