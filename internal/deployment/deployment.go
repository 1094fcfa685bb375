// Package deployment has the names of what the infrastructure makes for a deployment on AWS, and what follows from its secrets. The
// infrastructure's code and the programs that run on it share them.
package deployment

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/domicile-api/domicile/internal/ident"
)

// Default is the name of a deployment that was given none.
const Default = "domicile"

// maxName keeps the names that are made of a deployment's within the limits of all services that they are for.
const maxName = 20

// Names are those of one deployment. What a region has is called the same in every region.
type Names struct{ deployment string }

// New returns the names of a deployment; empty: Default. It refuses a name from which not all others can be made.
func New(name string) (Names, error) {
	if name == "" {
		name = Default
	}
	good := len(name) <= maxName && name[0] >= 'a' && name[0] <= 'z'
	for _, c := range []byte(name) {
		good = good && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !good {
		return Names{}, fmt.Errorf(
			"the name of a deployment is 1 to %d lower-case letters, digits and \"-\", beginning with a letter, not %q", maxName, name)
	}
	return Names{name}, nil
}

// Deployment is the deployment's own name.
func (n Names) Deployment() string { return n.deployment }

// Table is a table of DynamoDB.
func (n Names) Table(name string) string { return n.deployment + "-" + name }

// Queue is a queue of SQS, DeadQueue the one of its dead letters.
func (n Names) Queue(name string) string { return n.deployment + "-" + name + ".fifo" }

// DeadQueue is the queue of the dead letters of a queue.
func (n Names) DeadQueue(name string) string { return n.Queue(name + "-dead") }

// TenantsKey is the alias of the key of KMS under which tenants' keys are wrapped.
func (n Names) TenantsKey() string { return "alias/" + n.deployment + "-tenants" }

// RouteKey is the secret from which the key of route headers follows, PeerKey the one of what a region tells others.
func (n Names) RouteKey() string { return n.deployment + "/route-key" }

// PeerKey is the secret from which follows what a region proves itself to others with.
func (n Names) PeerKey() string { return n.deployment + "/peer-key" }

// Topology is the parameter with the topology file that the infrastructure was deployed with.
func (n Names) Topology() string { return "/" + n.deployment + "/topology" }

// Snapshots is the bucket of the last good copy of the directory.
func (n Names) Snapshots(account string, region ident.RegionID) string {
	return n.deployment + "-snapshots-" + account + "-" + string(region)
}

// minSecret is how many characters a secret has at the least: 32 of 62 kinds are 190 bits.
const minSecret = 32

// RouteSeed and PeerSeed are seeds of Ed25519 keys that follow from a region's secrets (HKDF-SHA256, RFC 5869), so that all processes of the
// region that may read the secret have the same key.
func RouteSeed(secret []byte) ([]byte, error) { return seed(secret, "route key") }

// PeerSeed is the seed that follows from the secret PeerKey; see RouteSeed.
func PeerSeed(secret []byte) ([]byte, error) { return seed(secret, "peer key") }

func seed(secret []byte, purpose string) ([]byte, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret of the %s has %d characters, at least %d are needed", purpose, len(secret), minSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "domicile "+purpose+" v1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the %s: %w", purpose, err)
	}
	return key, nil
}
