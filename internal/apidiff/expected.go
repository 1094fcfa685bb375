package apidiff

import "slices"

// expectation is something that a region's document says in its own way, and why. Parity does not look at it.
type expectation struct{ field, why string }

// expected is the whole list; whatever else differs needs a declared reason. Fields of the document's root that are not looked at
// (servers, x-region, x-jurisdiction, x-foreign-tenant, the texts of info, tags) need no entry: of the root, Parity compares what
// rootFields names.
func expected() []expectation {
	return []expectation{
		{"servers", "a region's own endpoint comes first"},
		{"description", "the text says what happens in this region, e.g. to a foreign tenant's call"},
		{"summary", "the same"},
		{"example", "an example shows this region's names and endpoints"},
		{"examples", "the same"},
		{"externalDocs", "links lead to this region's portal"},
		{availabilityName, "it is the declaration itself, and is judged apart"},
	}
}

// rootFields is what the documents of all regions must say alike besides their operations.
func rootFields() [][]string {
	return [][]string{{"openapi"}, {"info", "version"}, {"security"}, {"components", "securitySchemes"}, {"webhooks"}, {"x-regions"}}
}

// named are the fields whose members have names of the API's own: a property that is called "description" is no description.
func named() []string {
	return []string{
		"properties", "patternProperties", "dependentSchemas", "dependentRequired", "$defs", "responses", "content", "headers", "encoding",
		"links", "callbacks", "mapping", "parameters", "variables", "scopes", "securitySchemes", "webhooks",
	}
}

// values are the fields that hold plain values, without schemas in them.
func values() []string { return []string{"enum", "const", "default"} }

func isExpected(field string) bool {
	return slices.ContainsFunc(expected(), func(e expectation) bool { return e.field == field })
}
