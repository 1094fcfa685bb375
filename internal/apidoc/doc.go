// Package apidoc has the OpenAPI documents of an API: it reads the ones that package apigen made, and lays a region's part over them.
//
// A document is made once from the contracts and is the same everywhere. What a client in a region must know besides, where to call,
// what is answered there and what becomes of a tenant that lives elsewhere, follows from the topology alone, and Layer adds it. So a
// platform that runs with a topology of its own serves documents that are true of it, without generating anything.
//
// What it promises: Layer changes nothing that it is given, gives the same bytes for the same input, and laying a region over a document
// that another region was laid over is the same as laying it over the document itself.
package apidoc

// The extensions of a document's root.
const (
	// ExtRegion is the id of the region that the document is of; absent in the global document.
	ExtRegion = "x-region"
	// ExtJurisdiction is that region's jurisdiction; absent in the global document.
	ExtJurisdiction = "x-jurisdiction"
	// ExtRegions lists all regions of the deployment.
	ExtRegions = "x-regions"
	// ExtForeign says in words what a tenant of another jurisdiction gets in the region.
	ExtForeign = "x-foreign-tenant"
)

// The extensions of operations.
const (
	// ExtService is the full name of the operation's service.
	ExtService = "x-service"
	// ExtProcedure is the path of the method over Connect and gRPC.
	ExtProcedure = "x-procedure"
	// ExtRoute says where the operation is answered: home, nearest, control or any.
	ExtRoute = "x-route"
	// ExtCost is how many units of the rate limit a call takes.
	ExtCost = "x-cost"
	// ExtIdempotency is read or keyed.
	ExtIdempotency = "x-idempotency"
	// ExtPagination names the parameters and the property by which a list is read on.
	ExtPagination = "x-pagination"
	// ExtErrors lists the reasons of the errors that a caller can get.
	ExtErrors = "x-errors"
)

// The extensions of operations and of properties.
const (
	// ExtClass is the data class: GLOBAL, REGIONAL, PII or SECRET. Of an operation it is the highest of request and answer.
	ExtClass = "x-data-class"
	// ExtLeaves is how far a property's value goes: never, jurisdiction or anywhere.
	ExtLeaves = "x-leaves-region"
)

// The routes, as ExtRoute has them.
const (
	RouteHome    = "home"
	RouteNearest = "nearest"
	RouteControl = "control"
	RouteAny     = "any"
)

// The data classes, as ExtClass has them.
const (
	ClassGlobal   = "GLOBAL"
	ClassRegional = "REGIONAL"
	ClassPII      = "PII"
	ClassSecret   = "SECRET"
)

// Residency begins the part of a description that Layer writes; no comment and no overlay may have it.
const Residency = "**Where it is answered.**"
