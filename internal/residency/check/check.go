// Package check has the rules of the residency check: what a contract must say before any of its data may move. Each rule is a
// pure function of descriptors and returns what it refuses, with a text that says what to do. cmd/buf-plugin-domicile gives
// them to buf.
//
// It promises that a contract which passes cannot, by its options alone, let a class above GLOBAL leave its home: package
// residency and everything built on it rely on that.
package check

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Contract is what is checked.
type Contract struct {
	// Files are checked: services, entities and projections in them, and every message that those reach.
	Files []protoreflect.FileDescriptor
	// Imports are the other files that Files need. Findings name descriptors of Files only.
	Imports []protoreflect.FileDescriptor
	// Against are all files of the last release; empty when there is none, or for a lint.
	Against []protoreflect.FileDescriptor
	// Decided tells whether a decision file allows the class of a field to be loosened.
	Decided func(field protoreflect.FullName) bool
}

// Finding is one refusal.
type Finding struct {
	// At is what is refused; it lies in the checked files.
	At protoreflect.Descriptor
	// Before is the same in the last release, for rules that compare; else nil.
	Before protoreflect.Descriptor
	// Text says what is wrong and what to do.
	Text string
}

// Rule is one rule.
type Rule struct {
	// ID is how buf.yaml names the rule.
	ID string
	// Purpose is one sentence about it.
	Purpose string
	// Compares says that the rule looks at the last release too: it belongs to buf breaking, not to buf lint.
	Compares bool
	// Check returns what the rule refuses of a contract, in the order of the files.
	Check func(*Contract) []Finding
}

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{
		{ID: "DOMICILE_FIELD_CLASSIFIED", Check: fieldClassified,
			Purpose: "Checks that each field that an RPC, an entity or a projection reaches has a data class."},
		{ID: "DOMICILE_FIELD_REACH", Check: fieldReach,
			Purpose: "Checks that a GLOBAL or REGIONAL message field reaches nothing above its class."},
		{ID: "DOMICILE_ENTITY_TYPED", Check: entityTyped,
			Purpose: "Checks that no entity reaches an Any, Struct, Value or ListValue, which can hold anything."},
		{ID: "DOMICILE_ENTITY_KEY", Check: entityKey,
			Purpose: "Checks that each entity has an id prefix of its own and a GLOBAL string field as key."},
		{ID: "DOMICILE_LOOKUP_STRING", Check: lookupString,
			Purpose: "Checks that only single string fields of entities are looked up."},
		{ID: "DOMICILE_PROJECTION_EXACT", Check: projectionExact,
			Purpose: "Checks that a projection is exactly the fields of its entity that its scope may hold."},
		{ID: "DOMICILE_METHOD_POLICY", Check: methodPolicy,
			Purpose: "Checks that each method has a route and an idempotency that agree."},
		{ID: "DOMICILE_NEAREST_PROJECTION", Check: nearestProjection,
			Purpose: "Checks that the answer of a NEAREST method reaches projections and GLOBAL fields only."},
		{ID: "DOMICILE_ANY_GLOBAL", Check: anyGlobal,
			Purpose: "Checks that request and answer of an ANY method reach GLOBAL fields only."},
		{ID: "DOMICILE_MERGE_DECLARED", Check: mergeDeclared,
			Purpose: "Checks that the fields of multi-primary entities, and no others, are GLOBAL and say how they merge."},
		{ID: "DOMICILE_MERGE_FITS", Check: mergeFits,
			Purpose: "Checks that a merge is of a kind that fits the field's type."},
		{ID: "DOMICILE_SECRET_REVEALED", Check: secretRevealed,
			Purpose: "Checks that only methods marked reveals_secret answer SECRET fields."},
		{ID: "DOMICILE_URL_GLOBAL", Check: urlGlobal,
			Purpose: "Checks that only GLOBAL fields travel in paths, queries and Connect GETs."},
		{ID: "DOMICILE_CLASS_KEPT", Check: classKept, Compares: true,
			Purpose: "Checks that no class was loosened since the last release without a decision file."},
	}
}
