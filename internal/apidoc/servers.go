package apidoc

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/topology"
)

// servers returns where a client of the document's region calls, the best first.
func (l layer) servers() openapi3.Servers {
	var servers openapi3.Servers
	add := func(url, description string) {
		servers = append(servers, &openapi3.Server{URL: url, Description: description})
	}
	globalName := globalURL(l.topo)
	const aboutGlobal = "The global name: a call goes in at the region nearest to the caller, which answers it, forwards it to the tenant's home " +
		"in one hop, or refuses it, as it does with calls to its own endpoint. That region may lie outside of the tenant's jurisdiction."
	if l.global() {
		if globalName != "" {
			add(globalName, aboutGlobal)
		}
		for _, i := range l.topo.Regions() {
			add(l.topo.Endpoint(i), l.name(i)+", jurisdiction "+string(l.topo.Jurisdiction(i)))
		}
		return servers
	}
	add(l.topo.Endpoint(l.at), l.name(l.at)+", this region")
	for _, i := range l.companions() {
		about := ", the standby of this region"
		if l.topo.Standby(i) == l.at {
			about = ", whose standby this region is"
		}
		add(l.topo.Endpoint(i), l.name(i)+about+", in the same jurisdiction")
	}
	if globalName != "" {
		add(globalName, aboutGlobal)
	}
	return servers
}

// companions returns the region's standby and the regions whose standby it is.
func (l layer) companions() []topology.Index {
	var found []topology.Index
	if standby := l.topo.Standby(l.at); standby != topology.NoRegion {
		found = append(found, standby)
	}
	for _, i := range l.topo.Regions() {
		if i != l.at && l.topo.Standby(i) == l.at {
			found = append(found, i)
		}
	}
	return found
}

// globalURL returns the URL of the global name. On one machine it is the global port; elsewhere regions are called below it, as
// "eu-central-1.api.example.com" below "api.example.com". It is empty where the regions' names do not say it.
func globalURL(t *topology.Topology) string {
	global := ""
	for _, i := range t.Regions() {
		endpoint, err := url.Parse(t.Endpoint(i))
		if err != nil {
			return ""
		}
		above := *endpoint
		switch ip := net.ParseIP(endpoint.Hostname()); {
		case ip != nil && ip.IsLoopback() && endpoint.Port() == strconv.Itoa(t.Port(i)):
			above.Host = net.JoinHostPort(endpoint.Hostname(), strconv.Itoa(t.GlobalPort()))
		case strings.HasPrefix(endpoint.Host, string(t.ID(i))+"."):
			above.Host = strings.TrimPrefix(endpoint.Host, string(t.ID(i))+".")
		default:
			return ""
		}
		if global != "" && global != above.String() {
			return ""
		}
		global = above.String()
	}
	return global
}

// regions describes all regions, for ExtRegions.
func (l layer) regions() []any {
	out := make([]any, 0, l.topo.Len())
	for _, i := range l.topo.Regions() {
		region := l.topo.Region(i)
		entry := map[string]any{
			"id": region.GetId(), "place": region.GetPlace(), "jurisdiction": region.GetJurisdiction(), "url": region.GetEndpoint(),
			"latitude": region.GetLatitude(), "longitude": region.GetLongitude(),
		}
		roles := make([]any, 0, len(region.GetRoles()))
		for _, role := range region.GetRoles() {
			roles = append(roles, strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")))
		}
		entry["roles"] = roles
		if standby := region.GetStandby(); standby != "" {
			entry["standby"] = standby
		}
		out = append(out, entry)
	}
	return out
}

// name is how texts call a region: "Frankfurt (eu-central-1)".
func (l layer) name(i topology.Index) string {
	region := l.topo.Region(i)
	if region.GetPlace() == "" {
		return region.GetId()
	}
	return region.GetPlace() + " (" + region.GetId() + ")"
}

// homes returns the regions that tenants may live in, by whether they share the region's jurisdiction; the region itself is in neither.
func (l layer) homes() (same, other []topology.Index) {
	for _, i := range l.topo.Regions() {
		switch {
		case i == l.at || !l.topo.Is(i, topologyv1.Role_ROLE_HOME):
		case l.topo.SameJurisdiction(i, l.at):
			same = append(same, i)
		default:
			other = append(other, i)
		}
	}
	return same, other
}

// elsewhere returns a region that a call may belong to instead of this one: a home of another jurisdiction if there is one, else another
// home, else any.
func (l layer) elsewhere() topology.Index {
	same, other := l.homes()
	switch {
	case len(other) > 0:
		return other[0]
	case len(same) > 0:
		return same[0]
	default:
		return 0
	}
}

func (l layer) names(regions []topology.Index) string {
	texts := make([]string, len(regions))
	for n, i := range regions {
		texts[n] = l.name(i)
	}
	return enumerate(texts, "or")
}

// enumerate writes "a, b or c".
func enumerate(texts []string, conjunction string) string {
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	last := len(texts) - 1
	return strings.Join(texts[:last], ", ") + " " + conjunction + " " + texts[last]
}
