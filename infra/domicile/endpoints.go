package domicile

import (
	"slices"
	"strings"

	"github.com/domicile-api/domicile/infra/access"
)

// endpointID is a service's name as a logical id.
func endpointID(service string) string { return pascal(strings.ReplaceAll(service, ".", "-")) }

// endpointPolicy returns what may pass an endpoint: the actions that the table of package access has for the tasks, by the tasks' roles. What
// each of them may touch, the roles say.
func (d *Deployment) endpointPolicy(r Region, service string) access.Policy {
	family, _, _ := strings.Cut(service, ".")
	var actions, roles []string
	for _, p := range taskProcesses() {
		mine := taskActions(p, family)
		actions = append(actions, mine...)
		if len(mine) > 0 {
			roles = append(roles, d.roleARN(r, p))
		}
	}
	slices.Sort(actions)
	statements := []access.Statement{{
		Sid: "Tasks", Effect: "Allow", Principal: map[string]any{"AWS": "*"}, Action: slices.Compact(actions), Resource: []string{"*"},
		Condition: map[string]map[string][]string{"ArnEquals": {"aws:PrincipalArn": roles}},
	}}
	if family == "s3" {
		// Amazon's registry keeps the layers of images in a bucket of its own, and hands out signed addresses.
		statements = append(statements, access.Statement{
			Sid: "Layers", Effect: "Allow", Principal: map[string]any{"AWS": "*"}, Action: []string{"s3:GetObject"},
			Resource: []string{"arn:aws:s3:::prod-" + r.ID + "-starport-layer-bucket/*"},
		})
	}
	return access.PolicyOf(statements...)
}

// taskActions returns the actions of a process that a service answers.
func taskActions(p access.Process, family string) []string {
	var all []string
	for _, g := range access.Grants(p) {
		for _, u := range g.Uses {
			for _, action := range access.Actions(g.Store, u) {
				if strings.HasPrefix(action, family+":") {
					all = append(all, action)
				}
			}
		}
	}
	if family == "kms" && len(access.Storage(p).Services) > 0 {
		all = append(all, access.Storage(p).Actions...)
	}
	return all
}
