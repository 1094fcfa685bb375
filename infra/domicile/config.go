// Package domicile has the stacks of a deployment on AWS, as constructs that any CDK app in Go can use.
//
// The topology file decides what there is: a region more in it is a region more here. A Deployment is the checked input; NewPlatform
// makes all stacks of it, and NewGlobalStack, NewDataStack and the others make them one by one. All names and ARNs but those that AWS
// chooses are known before anything is made, so that policies of one region can name what lies in another.
//
// Without a domain only the global and the data stacks are made: a load balancer and an API need certificates, and those a name.
package domicile

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// Config is what a deployment is made of. Topology alone is required.
type Config struct {
	// Name begins the names of all resources; "domicile" when empty. Lower-case letters, digits and "-", at most 20.
	Name string
	// Topology is the topology file's content. Region ids are AWS region ids.
	Topology []byte
	// Account is the account of all regions that Accounts does not name: 12 digits.
	Account string
	// Accounts has the account of each region, where each has one of its own. Either all regions share one account or no two do.
	Accounts map[string]string
	// Domain is the global name and its zone; nil makes the global and data stacks alone.
	Domain *Domain
	// Unprotected leaves out deletion protection and removes data with the stacks: for trials, and as the first step of tearing down.
	Unprotected bool
	// AnyWriter leaves out the condition by which IAM keeps a region from another's partitions of the directory.
	AnyWriter bool
	// Functions is the folder of the functions' builds: <name>/bootstrap. Needed with a domain.
	Functions string
	// Architecture is arm64 or x86_64, of functions and tasks alike; arm64 when empty.
	Architecture string
	// Image is the container image of services and edge, with tag or digest; "{region}" in it stands for the region. Needed with a domain.
	Image string
	// LogDays is how long logs are kept; 30 when zero. One of the numbers that CloudWatch Logs has.
	LogDays int
	// Operators are the networks, as CIDR blocks, from which an operator's key opens a region's operations port; without any it is
	// reached from inside the network alone.
	Operators []string
	// AlarmEmail gets the alarms; empty for none.
	AlarmEmail string
}

// Domain is the name of the whole, and the zones its records lie in.
type Domain struct {
	// Name is the global name, e.g. api.example.com. It lies below its zone's own name, since a zone's own name can be no CNAME.
	Name string
	// Zone is the id of the public hosted zone that the global name lies in.
	Zone string
	// Zones has the id of the zone of <region>.<name> for each region, where regions have accounts of their own; Zone for all when empty.
	Zones map[string]string
}

// Region is a region of a deployment.
type Region struct {
	ID           string
	Jurisdiction string
	Account      string
	// Port is where its processes listen for calls; their operations port is OperationsOffset above.
	Port int
	// Endpoint is where the topology tells clients to go, and Services where it tells edges and other regions to.
	Endpoint, Services string
	// Control tells whether the region writes tenants, keys and plans.
	Control bool
}

// Deployment is a Config that was checked.
type Deployment struct {
	cfg     Config
	regions []Region
}

var (
	nameForm    = regexp.MustCompile(`^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$`)
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[1-9]$`)
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	domainForm  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$`)
)

// topologyParameter is how many bytes a parameter of the advanced tier holds.
const topologyParameter = 8192

// New checks a Config. The error has all that is wrong with it, and for the topology file, lines and columns.
func New(cfg Config) (*Deployment, error) {
	cfg = cfg.withDefaults()
	t, err := topologyfile.Parse("topology", cfg.Topology)
	if err != nil {
		return nil, err
	}
	d := &Deployment{cfg: cfg}
	for _, i := range t.Regions() {
		id := string(t.ID(i))
		account := cfg.Accounts[id]
		if account == "" {
			account = cfg.Account
		}
		d.regions = append(d.regions, Region{
			ID: id, Jurisdiction: string(t.Jurisdiction(i)), Account: account, Port: t.Port(i), Control: i == t.Control(),
			Endpoint: t.Endpoint(i), Services: t.Services(i),
		})
	}
	return d, errors.Join(d.checkNames(), d.checkAccounts(), d.checkDomain())
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "domicile"
	}
	if c.Architecture == "" {
		c.Architecture = "arm64"
	}
	if c.LogDays == 0 {
		c.LogDays = 30
	}
	return c
}

func (d *Deployment) checkNames() error {
	var problems []error
	if !nameForm.MatchString(d.cfg.Name) {
		problems = append(problems, fmt.Errorf("the name %.40q is not 1 to 20 lower-case letters, digits and \"-\"", d.cfg.Name))
	}
	if len(d.cfg.Topology) > topologyParameter {
		problems = append(problems, fmt.Errorf("the topology file has %d bytes; a parameter holds %d: shorten its comments",
			len(d.cfg.Topology), topologyParameter))
	}
	if d.cfg.Architecture != "arm64" && d.cfg.Architecture != "x86_64" {
		problems = append(problems, fmt.Errorf("the architecture %.20q is neither arm64 nor x86_64", d.cfg.Architecture))
	}
	for _, r := range d.regions {
		if !regionForm.MatchString(r.ID) {
			problems = append(problems, fmt.Errorf("the region %s is none of AWS; on AWS a region of the topology has an AWS region's id", r.ID))
		}
	}
	return errors.Join(problems...)
}

func (d *Deployment) checkAccounts() error {
	var problems []error
	accounts := map[string]bool{}
	for _, r := range d.regions {
		accounts[r.Account] = true
		if !accountForm.MatchString(r.Account) {
			problems = append(problems, fmt.Errorf("the region %s has no account of 12 digits", r.ID))
		}
	}
	for id := range d.cfg.Accounts {
		if _, err := d.Region(id); err != nil {
			problems = append(problems, fmt.Errorf("an account for a region that is not in the topology: %w", err))
		}
	}
	if n := len(accounts); n != 1 && n != len(d.regions) {
		problems = append(problems, fmt.Errorf("%d accounts for %d regions: a global table wants one for all, or one for each", n, len(d.regions)))
	}
	return errors.Join(problems...)
}

func (d *Deployment) checkDomain() error {
	domain := d.cfg.Domain
	if domain == nil {
		return nil
	}
	var problems []error
	if !domainForm.MatchString(domain.Name) || strings.Count(domain.Name, ".") < 2 {
		problems = append(problems, fmt.Errorf("the domain %.80q is not a name below a zone, such as api.example.com", domain.Name))
	}
	// The topology goes to every process as it is, so it must say what the names will be.
	for _, r := range d.regions {
		if want := "https://" + d.RegionName(r); r.Endpoint != want {
			problems = append(problems, fmt.Errorf("the topology says endpoint: %s for %s, and with this domain it is %s", r.Endpoint, r.ID, want))
		}
		if want := "https://" + d.ServicesName(r); r.Services != want {
			problems = append(problems, fmt.Errorf("the topology says services_endpoint: %s for %s, and with this domain it is %s",
				r.Services, r.ID, want))
		}
	}
	if domain.Zone == "" {
		problems = append(problems, errors.New("the domain has no hosted zone"))
	}
	if d.cfg.Functions == "" {
		problems = append(problems, errors.New("no folder with the functions' builds"))
	}
	for _, network := range d.cfg.Operators {
		if prefix, err := netip.ParsePrefix(network); err != nil || prefix.Bits() == 0 {
			problems = append(problems, fmt.Errorf("the operators' network %.40q is not a CIDR block of less than everything", network))
		}
	}
	if d.cfg.Image == "" {
		problems = append(problems, errors.New("no container image"))
	}
	return errors.Join(problems...)
}

// Name returns what the names of all resources begin with.
func (d *Deployment) Name() string { return d.cfg.Name }

// Regions returns the regions in the file's order.
func (d *Deployment) Regions() []Region { return slices.Clone(d.regions) }

// Region returns the region with that id.
func (d *Deployment) Region(id string) (Region, error) {
	i := slices.IndexFunc(d.regions, func(r Region) bool { return r.ID == id })
	if i < 0 {
		return Region{}, fmt.Errorf("there is no region %.40q in the topology", id)
	}
	return d.regions[i], nil
}

// Control returns the control region.
func (d *Deployment) Control() Region {
	return d.regions[slices.IndexFunc(d.regions, func(r Region) bool { return r.Control })]
}

// Others returns all regions but one.
func (d *Deployment) Others(r Region) []Region {
	return slices.DeleteFunc(d.Regions(), func(other Region) bool { return other.ID == r.ID })
}

// Lawful returns the other regions of a region's jurisdiction.
func (d *Deployment) Lawful(r Region) []Region {
	return slices.DeleteFunc(d.Others(r), func(other Region) bool { return other.Jurisdiction != r.Jurisdiction })
}

// HasSealed tells whether a region has a sealed queue: if its jurisdiction has another region.
func (d *Deployment) HasSealed(r Region) bool { return len(d.Lawful(r)) > 0 }

// ManyAccounts tells whether each region has an account of its own.
func (d *Deployment) ManyAccounts() bool {
	return d.regions[0].Account != d.regions[len(d.regions)-1].Account
}
