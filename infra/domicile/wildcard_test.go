package domicile_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/infra/access"
)

// Every wildcard in what a role may touch is recorded with its reason, and every record is of one that is there.
func TestWildcardsAreRecorded(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	used := map[string]bool{}
	roles := w.roles()
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		for _, s := range roles[name] {
			if strings.HasPrefix(s.sid, "managed") {
				t.Errorf("%s has a policy that somebody else writes: %s", name, s.sid)
			}
			for _, action := range s.actions {
				if strings.Contains(action, "*") {
					t.Errorf("%s: %s allows %s", name, s.sid, action)
				}
			}
			for _, resource := range s.resources {
				if strings.ContainsAny(resource, "*?") && !recorded(s.sid, resource, used) {
					t.Errorf("%s: %s has the resource %s, which access.Exceptions does not know", name, s.sid, resource)
				}
			}
		}
	}
	for _, e := range access.Exceptions() {
		if !used[e.Sid] {
			t.Errorf("the exception %s is of nothing", e.Sid)
		}
		if len(e.Reason) < 40 {
			t.Errorf("the exception %s has no reason to speak of", e.Sid)
		}
	}
}

func recorded(sid, resource string, used map[string]bool) bool {
	for _, e := range access.Exceptions() {
		if strings.HasPrefix(sid, e.Sid) && strings.HasSuffix(resource, e.Resource) && strings.Count(resource, "*") == 1 &&
			(e.Resource != "*" || resource == "*") {
			used[e.Sid] = true
			return true
		}
	}
	return false
}

// Policies of resources name roles of the deployment, accounts of the deployment, or AWS's own services: nobody else, and everybody only to refuse.
func TestResourcePoliciesNameNobodyElse(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for stack, template := range w.templates {
		for id, r := range template.Resources {
			for _, property := range []string{"KeyPolicy", "PolicyDocument"} {
				document, ok := r.Properties[property]
				if !ok || r.Type == "AWS::EC2::VPCEndpoint" {
					continue
				}
				for _, s := range w.statements(stack, id, document) {
					for _, p := range s.principals {
						if s.effect == "Allow" && p != "AWS arn:aws:iam::"+account+":root" && !strings.HasPrefix(p, "Service ") {
							t.Errorf("%s/%s: %s allows %q", stack, id, s.sid, p)
						}
						if strings.HasPrefix(p, "Service ") && len(s.conditions) == 0 {
							t.Errorf("%s/%s: %s lets a service come for anybody", stack, id, s.sid)
						}
					}
				}
			}
		}
	}
}
