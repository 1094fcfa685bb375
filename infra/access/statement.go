package access

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Statement is one of a policy. Its JSON is IAM's.
type Statement struct {
	Sid       string         `json:"Sid"`                 //nolint:tagliatelle // IAM's names
	Effect    string         `json:"Effect"`              //nolint:tagliatelle // IAM's names
	Principal map[string]any `json:"Principal,omitempty"` //nolint:tagliatelle // IAM's names
	Action    []string       `json:"Action"`              //nolint:tagliatelle // IAM's names
	Resource  []string       `json:"Resource,omitempty"`  //nolint:tagliatelle // IAM's names
	// Condition is operator → key → values.
	Condition map[string]map[string][]string `json:"Condition,omitempty"` //nolint:tagliatelle // IAM's names
}

// Policy is a policy document. Its JSON is IAM's.
type Policy struct {
	Version   string      `json:"Version"`   //nolint:tagliatelle // IAM's names
	Statement []Statement `json:"Statement"` //nolint:tagliatelle // IAM's names
}

// PolicyOf makes a document of statements.
func PolicyOf(statements ...Statement) Policy {
	return Policy{Version: "2012-10-17", Statement: statements}
}

// Document returns the policy as the maps that CDK takes.
func (p Policy) Document() (map[string]any, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("writing a policy: %w", err)
	}
	document := map[string]any{}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("reading a policy: %w", err)
	}
	return document, nil
}

// Places is where the stores of a region lie.
type Places interface {
	// ARNs returns the ARNs of a store for a process, none if there is no such store here. They may be CDK tokens.
	ARNs(p Process, s Store) []string
	// OwnPartitions returns the partition keys of the directory that the region may write, in each form in which IAM may see them;
	// none if the condition is switched off.
	OwnPartitions() []string
	// KeyConditions returns the conditions under which the tenants' keys of a store may be used.
	KeyConditions(s Store) map[string]map[string][]string
	// StorageKey returns the ARN of the region's storage key.
	StorageKey() string
	// ViaHere returns the name by which KMS knows a service of this region, e.g. "dynamodb.eu-central-1.amazonaws.com".
	ViaHere(service string) string
	// LawfulStorageKeys returns the statements' resources and conditions for the storage keys of the other regions of the jurisdiction,
	// as far as their sealed queues use them.
	LawfulStorageKeys() []RemoteKey
}

// RemoteKey is a key of another region, which only its alias names before it is made.
type RemoteKey struct {
	Sid       string
	Resource  string
	Condition map[string]map[string][]string
}

// Statements returns what a process's role may do, in a fixed order.
func Statements(p Process, at Places) []Statement {
	var all []Statement
	for _, g := range Grants(p) {
		for _, u := range g.Uses {
			resources := at.ARNs(p, g.Store)
			if len(resources) == 0 {
				continue
			}
			s := Statement{Sid: sid(u, g.Store), Effect: "Allow", Action: Actions(g.Store, u), Resource: resources}
			switch {
			case u == WriteOwn && len(at.OwnPartitions()) > 0:
				// ForAllValues holds of nothing too: Null refuses a request that names no key.
				s.Condition = map[string]map[string][]string{
					"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": at.OwnPartitions()},
					"Null":                      {"dynamodb:LeadingKeys": {"false"}},
				}
			case g.Store == TenantsKey || g.Store == LawfulTenantsKeys:
				s.Condition = at.KeyConditions(g.Store)
			}
			all = append(all, s)
		}
	}
	return append(all, storageStatements(p, at)...)
}

func storageStatements(p Process, at Places) []Statement {
	var all []Statement
	if use := Storage(p); len(use.Services) > 0 {
		via := make([]string, len(use.Services))
		for i, service := range use.Services {
			via[i] = at.ViaHere(service)
		}
		all = append(all, Statement{
			Sid: "UseStorageKey", Effect: "Allow", Action: use.Actions, Resource: []string{at.StorageKey()},
			Condition: map[string]map[string][]string{"StringEquals": {"kms:ViaService": via}},
		})
	}
	if May(p, LawfulSealed, Send) {
		for _, k := range at.LawfulStorageKeys() {
			all = append(all, Statement{Sid: k.Sid, Effect: "Allow", Action: SendSealedActions(), Resource: []string{k.Resource}, Condition: k.Condition})
		}
	}
	return all
}

// sid is a statement's id: letters and digits alone.
func sid(u Use, s Store) string {
	var b strings.Builder
	for word := range strings.SplitSeq(string(u)+"-"+string(s), "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func unique(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}
