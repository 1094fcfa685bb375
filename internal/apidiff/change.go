package apidiff

import (
	"cmp"
	"slices"
	"strings"
)

// Effect says what a change does to those who use the API as it was.
type Effect string

// The effects, the worst first.
const (
	// Breaking changes break some client that kept to the older document, or a promise about where data is.
	Breaking Effect = "breaking"
	// Risky changes break clients that relied on more than they should have, e.g. on an enumeration never growing.
	Risky Effect = "risky"
	// Compatible changes break nobody.
	Compatible Effect = "compatible"
)

// Change is one difference between two documents.
type Change struct {
	// Effect is what it does to clients.
	Effect Effect `json:"effect" yaml:"effect"`
	// Rule is the name of the rule that found it: oasdiff's, or one of this package's that begin with "x-" or "region-".
	Rule string `json:"rule" yaml:"rule"`
	// Operations are those it is seen in, as "GET /v1/users/{id}", sorted; none when it is the whole document's.
	Operations []string `json:"operations,omitempty" yaml:"operations,omitempty"`
	// Text says what changed.
	Text string `json:"text" yaml:"text"`
	// At is where it stands, "name:line", in the newer document, or in the older when it is there no more. It is not kept in a
	// changelog: lines move.
	At string `json:"at,omitempty" yaml:"-"`
}

// Report is what changed from one document to another.
type Report struct {
	// From and To are the documents' names.
	From string `json:"from"`
	To   string `json:"to"`
	// Breaking, Risky and Compatible count the changes.
	Breaking   int `json:"breaking"`
	Risky      int `json:"risky"`
	Compatible int `json:"compatible"`
	// Changes are sorted, the worst first.
	Changes []Change `json:"changes"`
}

func newReport(from, to string, changes []Change) *Report {
	r := &Report{From: from, To: to, Changes: merge(changes)}
	for _, c := range r.Changes {
		switch c.Effect {
		case Breaking:
			r.Breaking++
		case Risky:
			r.Risky++
		case Compatible:
			r.Compatible++
		}
	}
	return r
}

// merge makes one change of those that say the same of several operations: a property of a message changes for everyone who sends or
// gets the message.
func merge(changes []Change) []Change {
	type same struct {
		effect     Effect
		rule, text string
	}
	// Maps were walked: the place that is kept is the first operation's.
	slices.SortStableFunc(changes, func(a, b Change) int { return slices.CompareFunc(a.Operations, b.Operations, compareOperations) })
	at := map[same]int{}
	merged := make([]Change, 0, len(changes))
	for _, c := range changes {
		key := same{c.Effect, c.Rule, c.Text}
		i, ok := at[key]
		if !ok {
			i = len(merged)
			at[key] = i
			merged = append(merged, Change{Effect: c.Effect, Rule: c.Rule, Text: c.Text, At: c.At})
		}
		merged[i].Operations = append(merged[i].Operations, c.Operations...)
	}
	for i := range merged {
		slices.SortFunc(merged[i].Operations, compareOperations)
		merged[i].Operations = slices.Compact(merged[i].Operations)
	}
	slices.SortStableFunc(merged, func(a, b Change) int {
		return cmp.Or(
			cmp.Compare(rank(a.Effect), rank(b.Effect)),
			slices.CompareFunc(a.Operations, b.Operations, compareOperations),
			cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Text, b.Text),
		)
	})
	return merged
}

func rank(e Effect) int { return slices.Index([]Effect{Breaking, Risky, Compatible}, e) }

// compareOperations orders by path, then by method.
func compareOperations(a, b string) int {
	methodA, pathA, _ := strings.Cut(a, " ")
	methodB, pathB, _ := strings.Cut(b, " ")
	return cmp.Or(cmp.Compare(pathA, pathB), cmp.Compare(methodA, methodB))
}
