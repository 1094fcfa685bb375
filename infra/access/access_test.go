package access_test

import (
	"strings"
	"testing"

	"github.com/domicile-api/domicile/infra/access"
)

// Each line of the table means something, and nothing in it has a wildcard.
func TestEveryGrantHasActions(t *testing.T) {
	t.Parallel()
	for _, p := range access.Processes() {
		seen := map[access.Store]bool{}
		for _, g := range access.Grants(p) {
			if seen[g.Store] {
				t.Errorf("%s has two lines for %s", p, g.Store)
			}
			seen[g.Store] = true
			for _, u := range g.Uses {
				actions := access.Actions(g.Store, u)
				if len(actions) == 0 {
					t.Errorf("%s: to %s means nothing for %s", p, u, g.Store)
				}
				for _, action := range actions {
					if strings.Contains(action, "*") || !strings.Contains(action, ":") {
						t.Errorf("%s: %s of %s allows %s", p, u, g.Store, action)
					}
				}
			}
		}
	}
	if access.Grants("nobody") != nil || access.May("nobody", access.Directory, access.Read) {
		t.Error("a process that is not in the table may do something")
	}
}

func TestEveryStoreHasAClassAndAUser(t *testing.T) {
	t.Parallel()
	for _, s := range access.Stores() {
		switch access.ClassOf(s) {
		case access.Global, access.Regional, access.PII:
		default:
			t.Errorf("%s has the class %s", s, access.ClassOf(s))
		}
		used := false
		for _, u := range []access.Use{
			access.Read, access.Walk, access.Write, access.WriteOwn, access.Follow, access.Send, access.Receive, access.Operate, access.Encrypt,
			access.Decrypt, access.Pull,
		} {
			used = used || len(access.Who(s, u)) > 0
		}
		if !used {
			t.Errorf("nobody does anything to %s", s)
		}
	}
	if access.ClassOf("something new") != access.PII {
		t.Error("a store that nobody classified is taken for harmless")
	}
}

// A process that keeps nothing with the storage key has no use of it.
func TestStorageFollowsTheTable(t *testing.T) {
	t.Parallel()
	for p, want := range map[access.Process]string{
		access.Agent: "", access.Edge: "s3 secretsmanager", access.ApplyEvents: "dynamodb s3 secretsmanager",
		access.ApplySealed: "dynamodb s3 secretsmanager sqs", access.Services: "dynamodb s3 secretsmanager sqs",
		access.Sweep: "dynamodb s3 secretsmanager",
	} {
		if got := strings.Join(access.Storage(p).Services, " "); got != want {
			t.Errorf("%s comes to the storage key through %q, want %q", p, got, want)
		}
	}
}
