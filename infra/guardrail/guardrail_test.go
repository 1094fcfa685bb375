package guardrail_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/infra/access"
	"github.com/domicile-api/domicile/infra/domicile"
	"github.com/domicile-api/domicile/infra/guardrail"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

var update = flag.Bool("update", false, "write the policies anew")

// folder has the policies of the built-in topology, for people to read and to start from.
const folder = "../policies"

func deployment(t *testing.T) *domicile.Deployment {
	t.Helper()
	d, err := domicile.New(domicile.Config{Topology: topologyfile.DefaultYAML(), Account: "111122223333"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPoliciesAreCurrent(t *testing.T) {
	t.Parallel()
	files, err := guardrail.Files(deployment(t))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if files[filepath.Base(path)] == nil {
			t.Errorf("%s is of no region or jurisdiction: remove it", path)
		}
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not current; run go test ./guardrail -update (-want +got):\n%s", name, diff)
		}
	}
}

// A service control policy bounds and grants nothing.
func TestServiceControlPoliciesOnlyDeny(t *testing.T) {
	t.Parallel()
	d := deployment(t)
	for _, law := range []string{"EU", "US", "SG", "BR"} {
		for _, s := range guardrail.ServiceControl(d, law).Statement {
			if s.Effect != "Deny" || len(s.Action) == 0 || len(s.Resource) == 0 || s.Principal != nil {
				t.Errorf("%s: the statement %s is no plain denial", law, s.Sid)
			}
			for _, action := range s.Action {
				if strings.Contains(action, "*") {
					t.Errorf("%s: %s denies %s, which may be more than was thought of", law, s.Sid, action)
				}
			}
		}
	}
}

// Each mistake that rule 1 is to be held against, and the statement that catches it in the policy of the jurisdiction whose data it is.
func TestEachMistakeIsDenied(t *testing.T) {
	t.Parallel()
	d := deployment(t)
	euTable := "arn:aws:dynamodb:eu-central-1:111122223333:table/domicile-regional"
	pii := func(law string) map[string]string {
		return map[string]string{"aws:ResourceTag/domicile:class": "PII", "aws:ResourceTag/domicile:jurisdiction": law}
	}
	for name, test := range map[string]struct {
		action, resource string
		keys             map[string]string
		denied           bool
	}{
		"a US role reads an EU table": {
			"dynamodb:GetItem", euTable, with(pii("EU"), "aws:PrincipalTag/domicile:jurisdiction", "US"), true,
		},
		"an EU role reads a US table": {
			"dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:111122223333:table/domicile-regional",
			with(pii("US"), "aws:PrincipalTag/domicile:jurisdiction", "EU"), true,
		},
		"an EU role reads an EU table": {
			"dynamodb:GetItem", euTable, with(pii("EU"), "aws:PrincipalTag/domicile:jurisdiction", "EU"), false,
		},
		"a US role opens an EU key": {
			"kms:Decrypt", "arn:aws:kms:eu-central-1:111122223333:key/1", with(pii("EU"), "aws:PrincipalTag/domicile:jurisdiction", "US"), true,
		},
		"an EU role sends sealed messages to the US": {
			"sqs:SendMessage", "arn:aws:sqs:us-east-1:111122223333:domicile-sealed.fifo",
			with(pii("US"), "aws:PrincipalTag/domicile:jurisdiction", "EU"), true,
		},
		"an EU role sends events to the US": {
			"sqs:SendMessage", "arn:aws:sqs:us-east-1:111122223333:domicile-events.fifo", map[string]string{
				"aws:ResourceTag/domicile:class": "REGIONAL", "aws:ResourceTag/domicile:jurisdiction": "US",
				"aws:PrincipalTag/domicile:jurisdiction": "EU",
			}, false,
		},
		"somebody replicates a regional table":  {"dynamodb:CreateTableReplica", euTable, pii("EU"), true},
		"somebody exports a regional table":     {"dynamodb:ExportTableToPointInTime", euTable, pii("EU"), true},
		"somebody replicates objects elsewhere": {"s3:PutReplicationConfiguration", "arn:aws:s3:::x", nil, true},
		"somebody puts the directory where no region is": {
			"dynamodb:CreateTableReplica", "arn:aws:dynamodb:us-east-1:111122223333:table/domicile-directory",
			map[string]string{"aws:RequestedRegion": "ap-east-1"}, true,
		},
		"the directory gets a replica where a region is": {
			"dynamodb:CreateTableReplica", "arn:aws:dynamodb:us-east-1:111122223333:table/domicile-directory",
			map[string]string{"aws:RequestedRegion": "sa-east-1"}, false,
		},
		"somebody makes an EU table in the US": {
			"dynamodb:CreateTable", "arn:aws:dynamodb:us-east-1:111122223333:table/domicile-regional", map[string]string{
				"aws:RequestTag/domicile:class": "PII", "aws:RequestTag/domicile:jurisdiction": "EU", "aws:RequestedRegion": "us-east-1",
			}, true,
		},
		"somebody restores an EU table in the US": {
			"dynamodb:RestoreTableToPointInTime", euTable, with(pii("EU"), "aws:RequestedRegion", "us-east-1"), true,
		},
		"a person tags a table anew": {
			"dynamodb:TagResource", euTable,
			map[string]string{"aws:TagKeys": "domicile:jurisdiction", "aws:PrincipalArn": "arn:aws:iam::111122223333:role/admin"}, true,
		},
		"a deployment tags a table": {
			"dynamodb:TagResource", euTable, map[string]string{
				"aws:TagKeys": "domicile:jurisdiction", "aws:PrincipalArn": "arn:aws:iam::111122223333:role/cdk-hnb659fds-cfn-exec-role-1-eu-central-1",
			}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := denies(guardrail.ServiceControl(d, "EU"), test.action, test.resource, test.keys); (got != "") != test.denied {
				t.Errorf("denied by %q", got)
			}
		})
	}
}

func with(keys map[string]string, key, value string) map[string]string {
	keys[key] = value
	return keys
}

// denies returns the statement that denies a request; empty if none does.
func denies(p access.Policy, action, resource string, keys map[string]string) string {
	for _, s := range p.Statement {
		if slices.Contains(s.Action, action) && slices.ContainsFunc(s.Resource, func(r string) bool { return like(r, resource) }) && holds(s, keys) {
			return s.Sid
		}
	}
	return ""
}

func holds(s access.Statement, keys map[string]string) bool {
	for operator, wanted := range s.Condition {
		for key, values := range wanted {
			value, there := keys[key]
			matches := slices.ContainsFunc(values, func(v string) bool { return like(v, value) })
			switch operator {
			case "StringEquals", "ForAnyValue:StringEquals":
				if !there || !matches {
					return false
				}
			case "StringNotEquals", "ArnNotLike":
				if there && matches {
					return false
				}
			case "Null":
				if (values[0] == "true") == there {
					return false
				}
			default:
				panic("the test does not know " + operator)
			}
		}
	}
	return true
}

// like compares as IAM does where "*" is the only wildcard.
func like(pattern, value string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == value
	}
	rest, ok := strings.CutPrefix(value, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, part)
		rest, ok = after, ok && found
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}
