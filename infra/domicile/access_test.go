package domicile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/infra/access"
	"github.com/domicile-api/domicile/infra/domicile"
)

// never is what a process must not be able to do in any region: actions by what they begin with, on resources by what they have in them.
// It is written from the contract of the processes, not from the table that the roles are made from.
var never = []struct {
	process  access.Process
	action   string
	resource string
}{
	{access.ApplyEvents, "dynamodb:", ":table/domicile-regional"},
	{access.ApplyEvents, "dynamodb:", ":table/domicile-keys"},
	{access.ApplyEvents, "kms:", "/TenantsKey"},
	{access.ApplyEvents, "sqs:", "domicile-sealed"},
	{access.ApplyEvents, "secretsmanager:", "RouteKey"},
	{access.ApplyEvents, "s3:Put", ""},
	{access.ApplySealed, "dynamodb:", ":table/domicile-keys"},
	{access.ApplySealed, "dynamodb:", ":table/domicile-settings"},
	{access.Relay, "dynamodb:", ":table/domicile-settings"},
	{access.Edge, "dynamodb:", ":table/domicile-settings"},
	{access.EdgeTask, "dynamodb:", ":table/domicile-settings"},
	{access.ApplySealed, "kms:", "/TenantsKey"},
	{access.ApplySealed, "sqs:ReceiveMessage", "domicile-events"},
	{access.ApplySealed, "sqs:DeleteMessage", "domicile-events"},
	{access.ApplySealed, "sqs:SendMessage", "domicile-sealed"},
	{access.ApplySealed, "secretsmanager:", "RouteKey"},
	{access.ApplySealed, "s3:Put", ""},
	{access.Edge, "dynamodb:", ":table/domicile-regional"},
	{access.Edge, "dynamodb:", ":table/domicile-keys"},
	{access.Edge, "dynamodb:", ":table/domicile-replica"},
	{access.Edge, "dynamodb:Put", ""},
	{access.Edge, "dynamodb:Update", ""},
	{access.Edge, "dynamodb:Delete", ""},
	{access.Edge, "kms:", "/TenantsKey"},
	{access.Edge, "sqs:", ""},
	{access.Edge, "s3:Put", ""},
	{access.Edge, "secretsmanager:", "PeerKey"},
	{access.EdgeTask, "dynamodb:", ":table/domicile-regional"},
	{access.EdgeTask, "dynamodb:", ":table/domicile-keys"},
	{access.EdgeTask, "dynamodb:", ":table/domicile-replica"},
	{access.EdgeTask, "dynamodb:Put", ""},
	{access.EdgeTask, "dynamodb:Update", ""},
	{access.EdgeTask, "dynamodb:Delete", ""},
	{access.EdgeTask, "kms:", "/TenantsKey"},
	{access.EdgeTask, "sqs:", ""},
	{access.EdgeTask, "s3:Put", ""},
	{access.EdgeTask, "secretsmanager:", "PeerKey"},
	{access.Relay, "dynamodb:Put", ":table/domicile-directory"},
	{access.Relay, "dynamodb:Update", ":table/domicile-directory"},
	{access.Relay, "dynamodb:Delete", ":table/domicile-directory"},
	{access.Relay, "dynamodb:Put", ":table/domicile-keys"},
	{access.Relay, "dynamodb:Delete", ":table/domicile-keys"},
	{access.Relay, "dynamodb:", ":table/domicile-replica"},
	{access.Relay, "kms:Encrypt", "/TenantsKey"},
	{access.Relay, "sqs:ReceiveMessage", ""},
	{access.Relay, "secretsmanager:", "RouteKey"},
	{access.Sweep, "dynamodb:Put", ":table/domicile-keys"},
	{access.Sweep, "dynamodb:Delete", ":table/domicile-keys"},
	{access.Sweep, "kms:Encrypt", "/TenantsKey"},
	{access.Sweep, "secretsmanager:", "RouteKey"},
	{access.Services, "s3:Put", ""},
	{access.ApplyEvents, "dynamodb:Scan", ""},
	{access.ApplySealed, "dynamodb:Scan", ""},
	{access.Edge, "dynamodb:Scan", ""},
	{access.EdgeTask, "dynamodb:Scan", ""},
	{access.Relay, "dynamodb:Scan", ""},
	{access.Sweep, "dynamodb:Scan", ""},
	{access.Agent, "dynamodb:", ""},
	{access.Agent, "kms:", ""},
	{access.Agent, "sqs:", ""},
	{access.Agent, "secretsmanager:", ""},
	{access.Agent, "s3:", ""},
}

// must is what a process cannot do its work without; otherwise an empty role would pass.
var must = []struct {
	process  access.Process
	action   string
	resource string
}{
	{access.ApplyEvents, "dynamodb:PutItem", ":table/domicile-replica"},
	{access.ApplyEvents, "sqs:ReceiveMessage", "domicile-events.fifo"},
	{access.ApplyEvents, "dynamodb:PutItem", ":table/domicile-settings"},
	{access.Services, "dynamodb:PutItem", ":table/domicile-settings"},
	{access.Relay, "secretsmanager:GetSecretValue", "/PeerKey"},
	{access.Sweep, "secretsmanager:GetSecretValue", "/PeerKey"},
	{access.Edge, "dynamodb:GetItem", ":table/domicile-directory"},
	{access.Edge, "s3:GetObject", "/directory.snapshot"},
	{access.Edge, "secretsmanager:GetSecretValue", "/RouteKey"},
	{access.EdgeTask, "dynamodb:Query", ":table/domicile-directory"},
	{access.Relay, "dynamodb:GetRecords", "/Regional.StreamArn"},
	{access.Relay, "kms:Decrypt", "/TenantsKey"},
	{access.Relay, "sqs:SendMessage", "domicile-events.fifo"},
	{access.Services, "dynamodb:ConditionCheckItem", ":table/domicile-regional"},
	{access.Services, "dynamodb:PutItem", ":table/domicile-directory"},
	{access.Services, "dynamodb:DeleteItem", ":table/domicile-keys"},
	{access.Services, "kms:Encrypt", "/TenantsKey"},
	{access.Services, "sqs:StartMessageMoveTask", "domicile-events-dead.fifo"},
	{access.Services, "secretsmanager:GetSecretValue", "/PeerKey"},
	{access.Sweep, "dynamodb:PutItem", ":table/domicile-directory"},
	{access.Sweep, "s3:PutObject", "/directory.snapshot"},
	{access.Sweep, "dynamodb:PutItem", ":table/domicile-replica"},
}

// roleProblems returns what is wrong with the roles of a deployment.
func roleProblems(w *world, roles map[string][]statement) []string {
	var problems []string
	for _, r := range w.d.Regions() {
		for _, n := range never {
			for _, s := range roles[roleName(r, n.process)] {
				if s.effect == "Allow" && touches(s, n.action, n.resource) {
					problems = append(problems, fmt.Sprintf("%s may %s…: %s %v on %v", s.owner, n.action, s.sid, s.actions, s.resources))
				}
			}
		}
		for _, m := range must {
			may := func(s statement) bool { return s.effect == "Allow" && touches(s, m.action, m.resource) }
			if !slices.ContainsFunc(roles[roleName(r, m.process)], may) {
				problems = append(problems, fmt.Sprintf("%s may not %s on …%s", roleName(r, m.process), m.action, m.resource))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		for _, s := range roles[name] {
			problems = append(problems, regionProblems(w, s)...)
			problems = append(problems, keyProblems(s)...)
			problems = append(problems, writerProblems(w, s)...)
		}
	}
	return problems
}

func roleName(r domicile.Region, p access.Process) string {
	return "domicile-" + r.ID + "-" + string(p)
}

func touches(s statement, action, resource string) bool {
	return slices.ContainsFunc(s.actions, func(a string) bool { return strings.HasPrefix(a, action) || a == "*" }) &&
		slices.ContainsFunc(s.resources, func(r string) bool {
			return strings.Contains(r, resource) || r == "*" && !strings.HasPrefix(action, "dynamodb")
		})
}

// regionOf returns the region whose role has a name.
func regionOf(w *world, role string) (domicile.Region, bool) {
	for _, r := range w.d.Regions() {
		if strings.HasPrefix(role, "domicile-"+r.ID+"-") {
			return r, true
		}
	}
	return domicile.Region{}, false
}

// regionProblems: outside its region a role sends events anywhere, and sealed messages and wrapped keys inside its jurisdiction.
func regionProblems(w *world, s statement) []string {
	own, ok := regionOf(w, s.owner)
	if !ok {
		return []string{"a role of no region: " + s.owner}
	}
	var problems []string
	for _, resource := range s.resources {
		for _, other := range w.d.Others(own) {
			if !strings.Contains(resource, ":"+other.ID+":") && !strings.Contains(resource, "-"+other.ID+"/") {
				continue
			}
			lawful := other.Jurisdiction == own.Jurisdiction
			switch {
			case strings.HasSuffix(resource, ":domicile-events.fifo") && only(s, access.Actions(access.RemoteEvents, access.Send)...):
			case lawful && strings.HasSuffix(resource, ":domicile-sealed.fifo") && only(s, access.Actions(access.RemoteEvents, access.Send)...):
			case lawful && strings.HasSuffix(resource, ":key/*") && only(s, "kms:DescribeKey", "kms:Encrypt") &&
				slices.Equal(s.conditions["ForAnyValue:StringEquals"]["kms:ResourceAliases"], []string{"alias/domicile-tenants"}):
			case lawful && strings.HasSuffix(resource, ":key/*") && only(s, "kms:Decrypt", "kms:GenerateDataKey") &&
				slices.Equal(s.conditions["ForAnyValue:StringEquals"]["kms:ResourceAliases"], []string{"alias/domicile-storage"}) &&
				slices.Equal(s.conditions["StringEquals"]["kms:ViaService"], []string{"sqs." + other.ID + ".amazonaws.com"}):
			default:
				problems = append(problems, fmt.Sprintf("%s (%s) reaches %s of %s: %s %v", s.owner, own.Jurisdiction, resource, other.Jurisdiction, s.sid, s.actions))
			}
		}
	}
	return problems
}

func only(s statement, actions ...string) bool {
	return !slices.ContainsFunc(s.actions, func(a string) bool { return !slices.Contains(actions, a) })
}

// keyProblems: the storage key opens only through the service that keeps what it encrypts.
func keyProblems(s statement) []string {
	onKey := slices.ContainsFunc(s.resources, func(r string) bool { return strings.Contains(r, "/StorageKey") })
	if onKey && len(s.conditions["StringEquals"]["kms:ViaService"]) == 0 {
		return []string{s.owner + " may use the storage key itself: " + s.sid}
	}
	return nil
}

// writerProblems: a region writes its own partitions of the directory and no other's, and a request that names none is refused.
func writerProblems(w *world, s statement) []string {
	writes := slices.ContainsFunc(s.actions, func(a string) bool {
		verb, ok := strings.CutPrefix(a, "dynamodb:")
		return ok && (strings.Contains(verb, "Put") || strings.Contains(verb, "Update") || strings.Contains(verb, "Delete") || strings.Contains(verb, "Write"))
	})
	onDirectory := slices.ContainsFunc(s.resources, func(r string) bool { return strings.HasSuffix(r, ":table/domicile-directory") })
	if !writes || !onDirectory {
		return nil
	}
	own, _ := regionOf(w, s.owner)
	want := w.d.OwnPartitions(own)
	if !slices.Equal(s.conditions["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"], want) ||
		!slices.Equal(s.conditions["Null"]["dynamodb:LeadingKeys"], []string{"false"}) || len(want) == 0 {
		return []string{s.owner + " may write others' partitions of the directory: " + s.sid}
	}
	return nil
}

func TestRolesTouchTheirOwnAlone(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, problem := range roleProblems(w, w.roles()) {
		t.Error(problem)
	}
}

// A check that cannot fail checks nothing: each mistake in a role is found.
func TestRoleChecksFindMistakes(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for name, mistake := range map[string]statement{
		"apply reads a regional table": {
			owner: "domicile-eu-central-1-apply-events", actions: []string{"dynamodb:GetItem"},
			resources: []string{"arn:aws:dynamodb:eu-central-1:111122223333:table/domicile-regional"},
		},
		"apply decrypts": {
			owner: "domicile-eu-central-1-apply-sealed", actions: []string{"kms:Decrypt"},
			resources: []string{"domicile-data-eu-central-1/TenantsKey.Arn"},
		},
		"a relay sends sealed messages abroad": {
			owner: "domicile-eu-central-1-relay", actions: []string{"sqs:SendMessage"},
			resources: []string{"arn:aws:sqs:us-east-1:111122223333:domicile-sealed.fifo"},
		},
		"a service decrypts in another region": {
			owner: "domicile-eu-central-1-services", actions: []string{"kms:Decrypt"},
			resources: []string{"arn:aws:kms:eu-west-1:111122223333:key/*"},
		},
		"a service wraps abroad": {
			owner: "domicile-eu-central-1-services", actions: []string{"kms:Encrypt"},
			resources: []string{"arn:aws:kms:us-east-1:111122223333:key/*"},
		},
		"sweep writes the whole directory": {
			owner: "domicile-eu-central-1-sweep", actions: []string{"dynamodb:PutItem"},
			resources: []string{"arn:aws:dynamodb:eu-central-1:111122223333:table/domicile-directory"},
		},
		"an edge reads another region's table": {
			owner: "domicile-eu-central-1-edge", actions: []string{"dynamodb:GetItem"},
			resources: []string{"arn:aws:dynamodb:eu-west-1:111122223333:table/domicile-directory"},
		},
		"a relay uses the storage key by itself": {
			owner: "domicile-eu-central-1-relay", actions: []string{"kms:Decrypt"},
			resources: []string{"domicile-data-eu-central-1/StorageKey.Arn"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roles := w.roles()
			mistake.effect, mistake.sid = "Allow", "Mistake"
			roles[mistake.owner] = append(roles[mistake.owner], mistake)
			if len(roleProblems(w, roles)) == 0 {
				t.Error("not found")
			}
		})
	}
}
