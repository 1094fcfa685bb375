package aws

import (
	"fmt"
	"regexp"

	"github.com/domicile-api/domicile/internal/ident"
)

// DefaultDeployment is the name of a deployment that was given none.
const DefaultDeployment = "domicile"

// deploymentPattern keeps the names that are made of it within the rules of all services that they are for.
const deploymentPattern = `^[a-z][a-z0-9-]{0,19}$`

// names are what the infrastructure calls what it makes. Those of one region are the same in every region.
type names struct{ deployment string }

func newNames(deployment string) (names, error) {
	if deployment == "" {
		deployment = DefaultDeployment
	}
	if ok, err := regexp.MatchString(deploymentPattern, deployment); err != nil || !ok {
		return names{}, fmt.Errorf("the name of a deployment is 1 to 20 lower-case letters, digits and \"-\", beginning with a letter, not %q", deployment)
	}
	return names{deployment}, nil
}

func (n names) table(name string) string { return n.deployment + "-" + name }

func (n names) queue(name string) string { return n.deployment + "-" + name + ".fifo" }

func (n names) deadQueue(name string) string { return n.queue(name + "-dead") }

func (n names) tenantsKey() string { return "alias/" + n.deployment + "-tenants" }

func (n names) routeKey() string { return n.deployment + "/route-key" }

func (n names) peerKey() string { return n.deployment + "/peer-key" }

func (n names) snapshots(account string, region ident.RegionID) string {
	return n.deployment + "-snapshots-" + account + "-" + string(region)
}
