package topologyfile

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/domicile-api/domicile/internal/topology"
)

// claim is what a local port is for.
type claim struct {
	port int
	what string
}

// checkPorts looks for ports that two listeners would want when everything runs on one machine: the platform's own two, each
// region's, and, topology.OperationsOffset above that, the operations port of a process that serves the region alone.
func (c *checker) checkPorts() {
	claims := []claim{
		{topology.GlobalPort, "the global name's port"},
		{topology.GlobalPort + topology.OperationsOffset, "the platform's operations port"},
	}
	for i, region := range c.regions {
		if !c.known(i, "port") {
			continue
		}
		port := int(region.GetPort())
		if port+topology.OperationsOffset > topology.MaxPort {
			c.addf(i, "port", fmt.Sprintf("choose one up to %d, e.g. %d", topology.MaxPort-topology.OperationsOffset, topology.GlobalPort+1+i),
				"port %d leaves no room for the region's operations port, which is %d above it", port, topology.OperationsOffset)
			continue
		}
		mine := []claim{
			{port, fmt.Sprintf("the port of the region in line %d", c.line(i, "port"))},
			{port + topology.OperationsOffset, fmt.Sprintf("the operations port of the region in line %d (%d above its own)",
				c.line(i, "port"), topology.OperationsOffset)},
		}
		if other, ok := clash(claims, mine); ok {
			c.addf(i, "port", fmt.Sprintf("give each region a port of its own, e.g. %d", freePort(claims)), "%s", other)
			continue
		}
		claims = append(claims, mine...)
	}
}

// clash returns in words the first of mine that is claimed already.
func clash(claims, mine []claim) (string, bool) {
	for at, want := range mine {
		for _, have := range claims {
			switch {
			case want.port != have.port:
			case at == 0:
				return fmt.Sprintf("port %d is taken: it is %s", want.port, have.what), true
			default:
				return fmt.Sprintf("port %d puts the region's operations port on %d, which is %s",
					mine[0].port, want.port, have.what), true
			}
		}
	}
	return "", false
}

// freePort returns the lowest port from 8081 up that clashes with none of the claims.
func freePort(claims []claim) int {
	for port := topology.GlobalPort + 1; ; port++ {
		if _, taken := clash(claims, []claim{{port, ""}, {port + topology.OperationsOffset, ""}}); !taken {
			return port
		}
	}
}

// checkEndpoints looks at the URLs that the file gives, and for two regions that are reached at one.
func (c *checker) checkEndpoints() {
	first := make(map[string]int)
	for i, region := range c.regions {
		if c.doc.isBroken(regionPath(i, "endpoint")) {
			continue
		}
		endpoint := region.GetEndpoint()
		if endpoint == "" {
			if !c.known(i, "port") {
				continue
			}
			endpoint = topology.LocalEndpoint(region.GetPort())
		}
		host, wrong := endpointHost(endpoint)
		if wrong != "" {
			c.addf(i, "endpoint", "write scheme and host, with a port if need be, e.g. https://eu-central-1.api.example.com", "endpoint: %s", wrong)
			continue
		}
		other, taken := first[host]
		switch {
		case !taken:
			first[host] = i
		case region.GetEndpoint() != "":
			c.addf(i, "endpoint", "give each region an endpoint of its own", "two regions have one endpoint; the first is in line %d",
				c.line(other, "endpoint"))
		case c.regions[other].GetEndpoint() != "":
			c.addf(other, "endpoint", "give each region an endpoint of its own",
				"the endpoint is that of the region in line %d, which is reached at its port", c.line(i, "port"))
		default: // Both follow their ports: checkPorts has reported it.
		}
	}
	c.checkServices(first)
}

// checkServices looks at the URLs of services that are reached elsewhere than their region's edge: nothing else is reached there. taken
// has the hosts of the endpoints.
func (c *checker) checkServices(taken map[string]int) {
	for i, region := range c.regions {
		if region.GetServicesEndpoint() == "" || c.doc.isBroken(regionPath(i, "services_endpoint")) {
			continue
		}
		host, wrong := endpointHost(region.GetServicesEndpoint())
		if wrong != "" {
			c.addf(i, "services_endpoint", "write scheme and host, with a port if need be, e.g. https://services.eu-central-1.api.example.com",
				"services_endpoint: %s", wrong)
			continue
		}
		if other, is := taken[host]; is {
			c.addf(i, "services_endpoint", "give the services an endpoint of their own, or leave the line out",
				"something else is reached at this endpoint; it is of the region in line %d", c.line(other, "id"))
			continue
		}
		taken[host] = i
	}
}

// endpointHost returns the host and port that an endpoint names, in one spelling, or what is wrong with it.
func endpointHost(endpoint string) (host, wrong string) {
	parsed, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", "not a URL"
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return "", "the scheme is neither https nor http"
	case parsed.Hostname() == "":
		return "", "no host"
	case parsed.User != nil:
		return "", "a user name or password does not belong here"
	case net.ParseIP(parsed.Hostname()) == nil && strings.ContainsFunc(parsed.Hostname(), notInName):
		return "", "the host is neither a domain name (in ASCII) nor an IP address"
	case !portExists(parsed.Port()):
		return "", "the port is not between 1 and 65535"
	case goesOn(parsed):
		return "", "a path, query or fragment does not belong here"
	}
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	}
	name := strings.TrimSuffix(strings.ToLower(parsed.Hostname()), ".")
	if name == "localhost" || name == "::1" {
		name = "127.0.0.1"
	}
	return net.JoinHostPort(name, port), ""
}

// goesOn tells whether a URL has more than scheme, host and port.
func goesOn(u *url.URL) bool {
	return strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != ""
}

// notInName tells what no domain name has. URLs allow more, and an endpoint is written into headers and policies.
func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
}

// portExists tells whether a URL's port is one; none is the scheme's.
func portExists(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
