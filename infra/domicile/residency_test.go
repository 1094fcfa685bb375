package domicile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/domicile-api/domicile/infra/domicile"
)

// opens tells whether a statement lets somebody open what a key encrypted, or get a key with which it could.
func opens(s statement) bool {
	return s.effect == "Allow" && slices.ContainsFunc(s.actions, func(a string) bool {
		return a == "kms:Decrypt" || a == "kms:CreateGrant" || strings.HasPrefix(a, "kms:ReEncrypt") || strings.HasPrefix(a, "kms:GenerateDataKey") || strings.Contains(a, "*")
	})
}

// Nothing outside a jurisdiction can decrypt with its keys: of other regions, the tenants' key is opened by none and wrapped with by lawful
// ones; the storage key is opened for senders of sealed messages of the same jurisdiction, through SQS.
func TestKeysOpenInsideTheirJurisdictionAlone(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		for _, problem := range keyPolicyProblems(w, r) {
			t.Errorf("%s: %s", r.ID, problem)
		}
	}
}

func keyPolicyProblems(w *world, r domicile.Region) []string {
	stack := "domicile-data-" + r.ID
	var problems []string
	for id, key := range w.find(stack, "AWS::KMS::Key") {
		all := w.statements(stack, id, key.Properties["KeyPolicy"])
		for _, s := range all {
			if s.effect != "Allow" {
				continue
			}
			for _, role := range s.conditions["ArnEquals"]["aws:PrincipalArn"] {
				problems = append(problems, roleOfKeyProblems(w, r, id, s, role)...)
			}
			named := len(s.conditions["ArnEquals"]["aws:PrincipalArn"]) > 0
			through := len(s.conditions["StringEquals"]["kms:ViaService"]) > 0
			service := strings.HasPrefix(s.principals[0], "Service ")
			switch {
			case opens(s) && id == "TenantsKey" && !named:
				problems = append(problems, id+": "+s.sid+" opens the tenants' key to more than named roles")
			case opens(s) && !named && !through && !service:
				problems = append(problems, id+": "+s.sid+" opens the key to everybody in the account")
			}
		}
		if !deniesOthers(all, r.Jurisdiction, "kms:Decrypt") {
			problems = append(problems, id+" does not refuse other jurisdictions")
		}
	}
	return problems
}

// roleOfKeyProblems is about a role that a key policy names.
func roleOfKeyProblems(w *world, r domicile.Region, key string, s statement, role string) []string {
	from, ok := regionOf(w, strings.TrimPrefix(role, "arn:aws:iam::"+account+":role/"))
	switch {
	case !ok || from.Jurisdiction != r.Jurisdiction:
		return []string{fmt.Sprintf("%s: %s names %s", key, s.sid, role)}
	case from.ID != r.ID && key == "TenantsKey" && !only(s, "kms:Encrypt", "kms:DescribeKey"):
		return []string{fmt.Sprintf("%s: %s lets another region's %s do %v", key, s.sid, role, s.actions)}
	case from.ID != r.ID && key == "StorageKey" && !slices.Equal(s.conditions["StringEquals"]["kms:ViaService"], []string{"sqs." + r.ID + ".amazonaws.com"}):
		return []string{fmt.Sprintf("%s: %s lets another region's %s come by itself", key, s.sid, role)}
	case from.ID == r.ID && key == "TenantsKey" && slices.Contains(s.actions, "kms:Decrypt") && !mayOpen(role):
		return []string{fmt.Sprintf("%s: %s lets %s decrypt", key, s.sid, role)}
	}
	return nil
}

// mayOpen tells whether a process decrypts tenants' keys, by the contract of the processes.
func mayOpen(role string) bool {
	return strings.HasSuffix(role, "-services") || strings.HasSuffix(role, "-relay") || strings.HasSuffix(role, "-sweep")
}

func deniesOthers(all []statement, law, action string) bool {
	return slices.ContainsFunc(all, func(s statement) bool {
		return s.effect == "Deny" && slices.Contains(s.actions, action) && slices.Equal(s.principals, []string{"AWS *"}) &&
			slices.Equal(s.conditions["StringNotEquals"]["aws:PrincipalTag/domicile:jurisdiction"], []string{law})
	})
}

// The encryption context that internal/seal/kms sends is demanded by the tenants' key.
func TestTenantsKeyDemandsItsContext(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		stack := "domicile-data-" + r.ID
		all := w.statements(stack, "TenantsKey", w.templates[stack].Resources["TenantsKey"].Properties["KeyPolicy"])
		for key, value := range map[string]string{
			"kms:EncryptionContext:domicile:deployment": "domicile", "kms:EncryptionContext:domicile:region": r.ID,
		} {
			if !slices.ContainsFunc(all, func(s statement) bool {
				return s.effect == "Deny" && slices.Equal(s.conditions["StringNotEquals"][key], []string{value}) && len(s.conditions) == 1 &&
					slices.Contains(s.actions, "kms:Decrypt") && slices.Contains(s.actions, "kms:Encrypt")
			}) {
				t.Errorf("%s: no statement demands %s", r.ID, key)
			}
		}
	}
}

// A sealed queue is where the jurisdiction has another region, and admits its relays, sweeps and services alone; an events queue admits those of
// all other regions, and what applies there, which reports what it refuses; dead letters admit nobody.
func TestQueuesAdmitWhomTheyMay(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		stack := "domicile-data-" + r.ID
		queues := map[string]bool{}
		for _, q := range w.find(stack, "AWS::SQS::Queue") {
			queues[q.Properties["QueueName"].(string)] = true
		}
		lawful := 0
		for _, other := range w.d.Others(r) {
			if other.Jurisdiction == r.Jurisdiction {
				lawful++
			}
		}
		want := map[string]bool{"domicile-events.fifo": true, "domicile-events-dead.fifo": true}
		if lawful > 0 {
			want["domicile-sealed.fifo"], want["domicile-sealed-dead.fifo"] = true, true
		}
		if fmt.Sprint(queues) != fmt.Sprint(want) {
			t.Errorf("%s has the queues %v, want %v", r.ID, queues, want)
		}
		for id, policy := range w.find(stack, "AWS::SQS::QueuePolicy") {
			for _, problem := range queuePolicyProblems(w, r, w.statements(stack, id, policy.Properties["PolicyDocument"])) {
				t.Errorf("%s/%s: %s", r.ID, id, problem)
			}
		}
	}
}

func queuePolicyProblems(w *world, r domicile.Region, all []statement) []string {
	var problems []string
	secure := false
	for _, s := range all {
		secure = secure || s.effect == "Deny" && slices.Equal(s.conditions["Bool"]["aws:SecureTransport"], []string{"false"})
		if s.effect != "Allow" {
			continue
		}
		queue := s.resources[0]
		roles := s.conditions["ArnEquals"]["aws:PrincipalArn"]
		if strings.HasSuffix(queue, "-dead.fifo") || len(roles) == 0 || !only(s, "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage") {
			problems = append(problems, fmt.Sprintf("%s allows %v to %v", s.sid, s.actions, roles))
		}
		for _, role := range roles {
			from, ok := regionOf(w, strings.TrimPrefix(role, "arn:aws:iam::"+account+":role/"))
			lawful := ok && (from.Jurisdiction == r.Jurisdiction || strings.HasSuffix(queue, ":domicile-events.fifo"))
			reports := strings.HasSuffix(queue, ":domicile-events.fifo") && (strings.HasSuffix(role, "-apply-events") || strings.HasSuffix(role, "-apply-sealed"))
			if !lawful || from.ID == r.ID || !mayOpen(role) && !reports {
				problems = append(problems, fmt.Sprintf("%s admits %s to %s", s.sid, role, queue))
			}
		}
	}
	if !secure {
		problems = append(problems, "does not refuse what comes without TLS")
	}
	return problems
}

// Each check fails for a policy that says more than it may.
func TestResidencyChecksFindMistakes(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	eu, err := w.d.Region("eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	us := "arn:aws:iam::" + account + ":role/domicile-us-east-1-relay"
	admitted := func(queue, action, role string) []statement {
		return []statement{{
			effect: "Allow", sid: "Mistake", actions: []string{action}, resources: []string{"arn:aws:sqs:eu-central-1:" + account + ":" + queue},
			conditions: map[string]map[string][]string{"ArnEquals": {"aws:PrincipalArn": {role}}},
		}, {effect: "Deny", conditions: map[string]map[string][]string{"Bool": {"aws:SecureTransport": {"false"}}}}}
	}
	lawful := strings.Replace(us, "us-east-1", "eu-west-1", 1)
	for name, test := range map[string]struct {
		statements []statement
		wrong      bool
	}{
		"sealed, from the same jurisdiction": {admitted("domicile-sealed.fifo", "sqs:SendMessage", lawful), false},
		"sealed, from another jurisdiction":  {admitted("domicile-sealed.fifo", "sqs:SendMessage", us), true},
		"events, from another jurisdiction":  {admitted("domicile-events.fifo", "sqs:SendMessage", us), false},
		"events, received elsewhere":         {admitted("domicile-events.fifo", "sqs:ReceiveMessage", us), true},
		"dead letters, from anywhere":        {admitted("domicile-sealed-dead.fifo", "sqs:SendMessage", lawful), true},
		"an edge that sends":                 {admitted("domicile-events.fifo", "sqs:SendMessage", strings.Replace(us, "relay", "edge", 1)), true},
		"without TLS":                        {admitted("domicile-sealed.fifo", "sqs:SendMessage", lawful)[:1], true},
	} {
		if got := queuePolicyProblems(w, eu, test.statements); len(got) > 0 != test.wrong {
			t.Errorf("%s: %v", name, got)
		}
	}
	named := statement{effect: "Allow", sid: "Mistake", actions: []string{"kms:Decrypt"}}
	for name, role := range map[string]string{"another jurisdiction's role": us, "another region's role": lawful, "an apply function": strings.Replace(
		us, "us-east-1-relay", "eu-central-1-apply-sealed", 1,
	)} {
		if len(roleOfKeyProblems(w, eu, "TenantsKey", named, role)) == 0 {
			t.Errorf("%s may decrypt with the tenants' key", name)
		}
	}
}
