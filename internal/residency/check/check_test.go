package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/residency/check"
)

// shop is a contract that every rule passes. Each test breaks it in one place.
const shop = `
syntax = "proto3";
package shop.v1;
import "domicile/policy/v1/policy.proto";
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";

message Order {
  option (domicile.policy.v1.entity) = {id_prefix: "ord" key: "id"};
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  string customer = 2 [(domicile.policy.v1.class) = DATA_CLASS_PII, (domicile.policy.v1.lookup) = LOOKUP_UNIQUE];
  string note = 3 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];
  Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Address address = 5 [(domicile.policy.v1.class) = DATA_CLASS_PII];
  map<string, Money> fees = 6 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  google.protobuf.Timestamp create_time = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  repeated string tags = 8 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
message Money {
  string currency = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  int64 units = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
message Address {
  string line = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII];
}
message OrderSummary {
  option (domicile.policy.v1.projection_of) = {entity: "shop.v1.Order" scope: SCOPE_GLOBAL};
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  map<string, Money> fees = 6 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  google.protobuf.Timestamp create_time = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  repeated string tags = 8 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
message OrderRecord {
  option (domicile.policy.v1.projection_of) = {entity: "shop.v1.Order" scope: SCOPE_JURISDICTION};
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  string note = 3 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];
  Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  map<string, Money> fees = 6 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  google.protobuf.Timestamp create_time = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  repeated string tags = 8 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
service OrderService {
  rpc CreateOrder(CreateOrderRequest) returns (CreateOrderResponse) {
    option (domicile.policy.v1.route) = ROUTE_HOME;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;
    option (google.api.http) = {post: "/v1/shops/{shop}/orders" body: "order"};
  }
  rpc GetOrder(GetOrderRequest) returns (GetOrderResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (domicile.policy.v1.route) = ROUTE_HOME;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ;
    option (google.api.http) = {get: "/v1/orders/{id}" additional_bindings {get: "/v1/{id=orders/*}"}};
  }
  rpc GetOrderRecord(GetOrderRequest) returns (GetOrderRecordResponse) {
    option (domicile.policy.v1.route) = ROUTE_NEAREST;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ;
  }
  rpc FindOrder(FindOrderRequest) returns (GetOrderResponse) {
    option (domicile.policy.v1.route) = ROUTE_HOME;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ;
    option (google.api.http) = {post: "/v1/orders:find" body: "*"};
  }
  rpc SetBoard(SetBoardRequest) returns (SetBoardResponse) {
    option (domicile.policy.v1.route) = ROUTE_ANY;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;
  }
  rpc CreateCoupon(GetOrderRequest) returns (CreateCouponResponse) {
    option (domicile.policy.v1.route) = ROUTE_CONTROL;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;
    option (domicile.policy.v1.reveals_secret) = true;
  }
}
message CreateOrderRequest {
  string shop = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Order order = 2 [(domicile.policy.v1.class) = DATA_CLASS_PII];
}
message CreateOrderResponse { Order order = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII]; }
message GetOrderRequest { string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]; }
message GetOrderResponse { Order order = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII]; }
message GetOrderRecordResponse {
  OrderRecord record = 1 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];
  repeated OrderSummary others = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Money total = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
message FindOrderRequest { string customer = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII]; }
message CreateCouponResponse { string code = 1 [(domicile.policy.v1.class) = DATA_CLASS_SECRET]; }
message Board {
  option (domicile.policy.v1.entity) = {id_prefix: "brd" key: "name" ownership: OWNERSHIP_MULTI_PRIMARY};
  string name = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  string title = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_LWW];
  Frame frame = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_LWW];
  optional uint32 best = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_MAX];
  sint64 visits = 5 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_COUNTER];
  repeated string colors = 6 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_OR_SET];
  map<string, Pin> pins = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
message Frame { int32 width = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]; }
message Pin {
  int64 stamps = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_COUNTER];
  map<int32, Pin> pins = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
message SetBoardRequest { Board board = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]; }
message SetBoardResponse { Board board = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]; }
message NotReached { string anything = 1; }
`

const (
	entityOption = `option (domicile.policy.v1.entity) = {id_prefix: "ord" key: "id"};`
	orderID      = `option (domicile.policy.v1.entity) = {id_prefix: "ord" key: "id"};
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`
	customer     = `string customer = 2 [(domicile.policy.v1.class) = DATA_CLASS_PII, (domicile.policy.v1.lookup) = LOOKUP_UNIQUE];`
	moneyUnits   = `int64 units = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`
	orderAddress = `Address address = 5 [(domicile.policy.v1.class) = DATA_CLASS_PII];`
	summaryHead  = `option (domicile.policy.v1.projection_of) = {entity: "shop.v1.Order" scope: SCOPE_GLOBAL};
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`
	createRoute = `option (domicile.policy.v1.route) = ROUTE_HOME;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;`
	getRequest = `message GetOrderRequest { string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]; }`
)

// refusal is a place where shop is broken, and all that is then said.
type refusal struct {
	name     string
	old, new string
	want     []string
}

func refusals() []refusal {
	return slices.Concat(fieldRefusals(), entityRefusals(), projectionRefusals(), methodRefusals(), urlRefusals(), mergeRefusals())
}

func fieldRefusals() []refusal {
	return []refusal{
		{"unclassified", `Money total = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, `Money total = 3;`, []string{
			`DOMICILE_FIELD_CLASSIFIED: field "shop.v1.GetOrderRecordResponse.total" has no data class; give it [(domicile.policy.v1.class) = DATA_CLASS_...]`,
			`DOMICILE_NEAREST_PROJECTION: method "shop.v1.OrderService.GetOrderRecord" is ROUTE_NEAREST and its answer reaches "shop.v1.GetOrderRecordResponse.total", which is unclassified and not in a projection; answer a projection or use ROUTE_HOME`,
		}},
		{"unclassified below an entity", `string line = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII];`, `string line = 1;`, []string{
			`DOMICILE_FIELD_CLASSIFIED: field "shop.v1.Address.line" has no data class; give it [(domicile.policy.v1.class) = DATA_CLASS_...]`,
		}},
		{"GLOBAL reaches PII", orderAddress, strings.Replace(orderAddress, "PII", "REGIONAL", 1), []string{
			`DOMICILE_FIELD_REACH: field "shop.v1.Order.address" is REGIONAL and reaches a PII field in "shop.v1.Address"; class the field PII`,
			`DOMICILE_PROJECTION_EXACT: projection "shop.v1.OrderRecord" lacks the field "address" = 5 of "shop.v1.Order", which is REGIONAL`,
		}},
		{"GLOBAL list reaches REGIONAL", `repeated OrderSummary others`, `repeated OrderRecord others`, []string{
			`DOMICILE_FIELD_REACH: field "shop.v1.GetOrderRecordResponse.others" is GLOBAL and reaches a REGIONAL field in "shop.v1.OrderRecord"; class the field REGIONAL`,
		}},
		{"Any in an entity", orderAddress, orderAddress + `google.protobuf.Any extra = 9 [(domicile.policy.v1.class) = DATA_CLASS_PII];`, []string{
			`DOMICILE_ENTITY_TYPED: field "shop.v1.Order.extra" of an entity has type google.protobuf.Any, which can hold anything; use a message with classified fields`,
		}},
		{"GLOBAL Struct below an entity", moneyUnits, moneyUnits + `map<string, google.protobuf.Value> more = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_ENTITY_TYPED: field "shop.v1.Money.more" of an entity has type google.protobuf.Value, which can hold anything; use a message with classified fields`,
			`DOMICILE_FIELD_REACH: field "shop.v1.GetOrderRecordResponse.total" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.Money.more" is GLOBAL and holds a google.protobuf.Value, which can hold anything and counts as PII; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.Order.fees" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.Order.total" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.OrderRecord.fees" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.OrderRecord.total" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.OrderSummary.fees" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.OrderSummary.total" is GLOBAL and reaches a PII field in "shop.v1.Money"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.GetOrderRecordResponse.others" is GLOBAL and reaches a PII field in "shop.v1.OrderSummary"; class the field PII`,
			`DOMICILE_FIELD_REACH: field "shop.v1.GetOrderRecordResponse.record" is REGIONAL and reaches a PII field in "shop.v1.OrderRecord"; class the field PII`,
			`DOMICILE_NEAREST_PROJECTION: method "shop.v1.OrderService.GetOrderRecord" is ROUTE_NEAREST and its answer reaches "shop.v1.Money.more", which is GLOBAL and not in a projection; answer a projection or use ROUTE_HOME`,
		}},
	}
}

func entityRefusals() []refusal {
	second := `message Item { ` + entityOption + ` string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]; } message Money {`
	return []refusal{
		{"no prefix", `id_prefix: "ord" key`, `key`, []string{
			`DOMICILE_ENTITY_KEY: entity "shop.v1.Order" has the id_prefix ""; it must be 1 to 8 lower-case letters`,
		}},
		{"prefix with a digit", `"ord"`, `"ord1"`, []string{
			`DOMICILE_ENTITY_KEY: entity "shop.v1.Order" has the id_prefix "ord1"; it must be 1 to 8 lower-case letters`,
		}},
		{"prefix taken", `message Money {`, second, []string{
			`DOMICILE_ENTITY_KEY: entity "shop.v1.Item" has the id_prefix "ord", which "shop.v1.Order" has already`,
		}},
		{"no key", ` key: "id"`, ``, []string{
			`DOMICILE_ENTITY_KEY: entity "shop.v1.Order" has no key; name the string field that holds its id`,
		}},
		{"key is no field", `key: "id"`, `key: "uid"`, []string{
			`DOMICILE_ENTITY_KEY: entity "shop.v1.Order" has the key "uid", which is not one of its fields`,
		}},
		{"key is a list", `key: "id"`, `key: "tags"`, []string{
			`DOMICILE_ENTITY_KEY: key "shop.v1.Order.tags" of an entity must be a single string field, without optional and outside oneofs`,
		}},
		{"key is not GLOBAL", `key: "id"`, `key: "customer"`, []string{
			`DOMICILE_ENTITY_KEY: key "shop.v1.Order.customer" of an entity is PII; it must be GLOBAL`,
		}},
		{"lookup of a list", customer, strings.Replace(customer, "string", "repeated string", 1), []string{
			`DOMICILE_LOOKUP_STRING: field "shop.v1.Order.customer" has a lookup and is not a single string`,
		}},
		{"lookup of bytes", customer, strings.Replace(customer, "string", "bytes", 1), []string{
			`DOMICILE_LOOKUP_STRING: field "shop.v1.Order.customer" has a lookup and is not a single string`,
		}},
		{"lookup outside an entity", `string line = 1 [`, `string line = 1 [(domicile.policy.v1.lookup) = LOOKUP_UNIQUE, `, []string{
			`DOMICILE_LOOKUP_STRING: field "shop.v1.Address.line" has a lookup, and "shop.v1.Address" is not an entity; only entities are looked up`,
		}},
	}
}

func projectionRefusals() []refusal {
	total := `Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`
	change := func(from, to string) string { return strings.Replace(summaryHead, from, to, 1) }
	return []refusal{
		{"missing field", summaryHead, change(total, ""), []string{
			`DOMICILE_PROJECTION_EXACT: projection "shop.v1.OrderSummary" lacks the field "total" = 4 of "shop.v1.Order", which is GLOBAL`,
		}},
		{"field that the scope may not hold", summaryHead, summaryHead + `string note = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.note" is REGIONAL in "shop.v1.Order", more than a projection of SCOPE_GLOBAL may hold`,
		}},
		{"field that the entity does not have", summaryHead, summaryHead + `string extra = 9 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.extra" is not a field of "shop.v1.Order"`,
		}},
		{"other number", summaryHead, change("total = 4", "total = 14"), []string{
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.total" has number 14, and 4 in "shop.v1.Order"`,
		}},
		{"other type", summaryHead, change("Money total", "repeated Money total"), []string{
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.total" has type repeated shop.v1.Money, and shop.v1.Money in "shop.v1.Order"`,
		}},
		{"other presence", summaryHead, change("string id", "optional string id"), []string{
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.id" has type optional string, and string in "shop.v1.Order"`,
		}},
		{"other name", summaryHead, change("Money total", "Money sum"), []string{
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.sum" is not a field of "shop.v1.Order"`,
			`DOMICILE_PROJECTION_EXACT: projection "shop.v1.OrderSummary" lacks the field "total" = 4 of "shop.v1.Order", which is GLOBAL`,
		}},
		{"other class", summaryHead, change(total, strings.Replace(total, "GLOBAL", "REGIONAL", 1)), []string{
			`DOMICILE_FIELD_REACH: field "shop.v1.GetOrderRecordResponse.others" is GLOBAL and reaches a REGIONAL field in "shop.v1.OrderSummary"; class the field REGIONAL`,
			`DOMICILE_PROJECTION_EXACT: field "shop.v1.OrderSummary.total" is REGIONAL, and GLOBAL in "shop.v1.Order"`,
		}},
		{"no scope", summaryHead, change(" scope: SCOPE_GLOBAL", ""), []string{
			`DOMICILE_PROJECTION_EXACT: projection "shop.v1.OrderSummary" has no scope; say SCOPE_GLOBAL or SCOPE_JURISDICTION`,
		}},
		{"of no entity", summaryHead, change("shop.v1.Order", "shop.v1.Money"), []string{
			`DOMICILE_PROJECTION_EXACT: projection "shop.v1.OrderSummary" is of "shop.v1.Money", which is not an entity in this file or its imports`,
		}},
		{"entity and projection", entityOption, entityOption + `option (domicile.policy.v1.projection_of) = {entity: "shop.v1.Order" scope: SCOPE_GLOBAL};`, []string{
			`DOMICILE_PROJECTION_EXACT: message "shop.v1.Order" is both an entity and a projection`,
		}},
	}
}

func methodRefusals() []refusal {
	change := func(from, to string) string { return strings.Replace(createRoute, from, to, 1) }
	return []refusal{
		{"no route", createRoute, change("option (domicile.policy.v1.route) = ROUTE_HOME;", ""), []string{
			`DOMICILE_METHOD_POLICY: method "shop.v1.OrderService.CreateOrder" has no route; say (domicile.policy.v1.route) = ROUTE_HOME, ROUTE_NEAREST, ROUTE_ANY or ROUTE_CONTROL`,
		}},
		{"no idempotency", createRoute, change("option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;", ""), []string{
			`DOMICILE_METHOD_POLICY: method "shop.v1.OrderService.CreateOrder" has no idempotency; say (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ or IDEMPOTENCY_KEYED`,
		}},
		{"keyed without side effects", `option idempotency_level = NO_SIDE_EFFECTS;
    option (domicile.policy.v1.route) = ROUTE_HOME;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ;`, `option idempotency_level = NO_SIDE_EFFECTS;
    option (domicile.policy.v1.route) = ROUTE_HOME;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;`, []string{
			`DOMICILE_METHOD_POLICY: method "shop.v1.OrderService.GetOrder" is IDEMPOTENCY_KEYED, so it writes, and says NO_SIDE_EFFECTS`,
		}},
		{"nearest write", `option (domicile.policy.v1.route) = ROUTE_NEAREST;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_READ;`, `option (domicile.policy.v1.route) = ROUTE_NEAREST;
    option (domicile.policy.v1.idempotency) = IDEMPOTENCY_KEYED;`, []string{
			`DOMICILE_METHOD_POLICY: method "shop.v1.OrderService.GetOrderRecord" is IDEMPOTENCY_KEYED, so it writes, and ROUTE_NEAREST; only the home region writes, or any region what is multi-primary: ROUTE_HOME or ROUTE_ANY`,
		}},
		{"nearest answers an entity", `OrderRecord record = 1 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];`, `Order record = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII];`, []string{
			`DOMICILE_NEAREST_PROJECTION: method "shop.v1.OrderService.GetOrderRecord" is ROUTE_NEAREST and its answer reaches "shop.v1.GetOrderRecordResponse.record", which is PII and not in a projection; answer a projection or use ROUTE_HOME`,
		}},
		{"nearest answers a REGIONAL field", `repeated OrderSummary others = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, `string remark = 2 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];`, []string{
			`DOMICILE_NEAREST_PROJECTION: method "shop.v1.OrderService.GetOrderRecord" is ROUTE_NEAREST and its answer reaches "shop.v1.GetOrderRecordResponse.remark", which is REGIONAL and not in a projection; answer a projection or use ROUTE_HOME`,
		}},
		{"secret answered", `option (domicile.policy.v1.reveals_secret) = true;`, ``, []string{
			`DOMICILE_SECRET_REVEALED: method "shop.v1.OrderService.CreateCoupon" answers a SECRET field; mark it (domicile.policy.v1.reveals_secret) = true or answer without it`,
		}},
	}
}

func urlRefusals() []refusal {
	return []refusal{
		{"PII in a path", `"/v1/orders:find" body: "*"`, `"/v1/orders/{customer}" body: "*"`, []string{
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.FindOrder" puts "shop.v1.FindOrderRequest.customer", which is PII, into a path, and URLs are logged everywhere; send it in the body of a POST`,
		}},
		{"nested field in a path", `"/v1/shops/{shop}/orders" body: "order"`, `"/v1/shops/{shop}/orders/{order.id=*}" body: "order"`, []string{
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.CreateOrder" puts "shop.v1.Order.id", which is PII, into a path, and URLs are logged everywhere; send it in the body of a POST`,
		}},
		{"PII in a query", `post: "/v1/orders:find" body: "*"`, `get: "/v1/orders:find"`, []string{
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.FindOrder" puts "shop.v1.FindOrderRequest.customer", which is PII, into a query, and URLs are logged everywhere; send it in the body of a POST`,
		}},
		{"message in a query", `body: "order"`, `body: "shop"`, []string{
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.CreateOrder" puts "shop.v1.CreateOrderRequest.order", which is PII, into a query, and URLs are logged everywhere; send it in the body of a POST`,
		}},
		{"another binding", `post: "/v1/orders:find" body: "*"`, `post: "/v1/orders:find" body: "*" additional_bindings {custom: {kind: "SEARCH" path: "/v1/orders"}}`, []string{
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.FindOrder" puts "shop.v1.FindOrderRequest.customer", which is PII, into a query, and URLs are logged everywhere; send it in the body of a POST`,
		}},
		{"Connect GET", getRequest, strings.Replace(getRequest, "GLOBAL", "REGIONAL", 1), []string{
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.GetOrder" puts "shop.v1.GetOrderRequest.id", which is REGIONAL, into a path, and URLs are logged everywhere; send it in the body of a POST`,
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.GetOrder" puts "shop.v1.GetOrderRequest.id", which is REGIONAL, into a path, and URLs are logged everywhere; send it in the body of a POST`,
			`DOMICILE_URL_GLOBAL: method "shop.v1.OrderService.GetOrder" puts "shop.v1.GetOrderRequest.id", which is REGIONAL, into the URL of a Connect GET (NO_SIDE_EFFECTS), and URLs are logged everywhere; send it in the body of a POST`,
		}},
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if n := strings.Count(shop, tt.old); n == 0 {
				t.Fatalf("the contract has no %q to break", tt.old)
			}
			got := findings(t, &check.Contract{Files: compile(t, strings.Replace(shop, tt.old, tt.new, 1))})
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContractsThatPass(t *testing.T) {
	t.Parallel()
	tests := map[string]*check.Contract{
		"shop": {Files: compile(t, shop)},
		"ours": {Files: []protoreflect.FileDescriptor{
			settingsv1.File_domicile_settings_v1_settings_proto, profilev1.File_domicile_profile_v1_profile_proto, tenancyv1.File_domicile_tenancy_v1_tenancy_proto,
		}},
	}
	for name, c := range tests {
		if got := findings(t, c); len(got) != 0 {
			t.Errorf("%s is refused: %q", name, got)
		}
	}
}

// What an import lacks is said of the checked file's own descriptor that reaches it.
func TestImportsAreReportedWhereTheyAreUsed(t *testing.T) {
	t.Parallel()
	imported := compile(t, strings.Replace(shop, `string line = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII];`, `string line = 1;`, 1))
	own := compile(t, `
		syntax = "proto3";
		package app.v1;
		import "domicile/policy/v1/policy.proto";
		import "shop.proto";
		message Cart {
			option (domicile.policy.v1.entity) = {id_prefix: "ord" key: "id"};
			string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
			shop.v1.Address to = 2 [(domicile.policy.v1.class) = DATA_CLASS_PII];
		}`, imported...)
	c := &check.Contract{Files: own, Imports: imported}
	want := []string{
		`DOMICILE_FIELD_CLASSIFIED: field "shop.v1.Address.line" has no data class; give it [(domicile.policy.v1.class) = DATA_CLASS_...]`,
		`DOMICILE_ENTITY_KEY: entity "app.v1.Cart" has the id_prefix "ord", which "shop.v1.Order" has already`,
	}
	if diff := cmp.Diff(want, findings(t, c)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestClassKept(t *testing.T) {
	t.Parallel()
	note := `string note = 3 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];`
	was := compile(t, shop)
	loosened := strings.ReplaceAll(shop, note, strings.Replace(note, "REGIONAL", "GLOBAL", 1))
	want := `DOMICILE_CLASS_KEPT: field "shop.v1.Order.note" was REGIONAL in the last release and is GLOBAL now; tenants were promised the former. ` +
		`To loosen it, write the decision docs/decisions/NNNN-loosen-shop.v1.Order.note.md`
	tests := []struct {
		name    string
		is      string
		decided func(protoreflect.FullName) bool
		want    []string
	}{
		{"same", shop, nil, nil},
		{"tightened", strings.ReplaceAll(shop, note, strings.Replace(note, "REGIONAL", "PII", 1)), nil, nil},
		{"loosened", loosened, nil, []string{want, strings.ReplaceAll(want, "shop.v1.Order.note", "shop.v1.OrderRecord.note")}},
		{"loosened and renamed", strings.Replace(loosened, "string note = 3", "string memo = 3", 1), nil, []string{
			strings.ReplaceAll(want, "shop.v1.Order.note", "shop.v1.Order.memo"),
			strings.ReplaceAll(want, "shop.v1.Order.note", "shop.v1.OrderRecord.note"),
		}},
		{"loosened by decision", loosened, func(f protoreflect.FullName) bool { return f == "shop.v1.Order.note" }, []string{
			strings.ReplaceAll(want, "shop.v1.Order.note", "shop.v1.OrderRecord.note"),
		}},
		{"a class for what had none", strings.Replace(shop, "string anything = 1;", "string anything = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];", 1), nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, &check.Contract{Files: compile(t, tt.is), Against: was, Decided: tt.decided}, true)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// findings runs the rules of a lint.
func findings(t *testing.T, c *check.Contract) []string {
	t.Helper()
	return run(t, c, false)
}

func run(t *testing.T, c *check.Contract, compares bool) []string {
	t.Helper()
	own := map[string]bool{}
	for _, f := range c.Files {
		own[f.Path()] = true
	}
	var texts []string
	for _, rule := range check.Rules() {
		if rule.Compares != compares {
			continue
		}
		for _, f := range rule.Check(c) {
			if !own[f.At.ParentFile().Path()] {
				t.Errorf("%s names %s, which is not in a checked file", rule.ID, f.At.FullName())
			}
			texts = append(texts, rule.ID+": "+f.Text)
		}
	}
	return texts
}

// compile makes descriptors of a source, which may import others and what is linked in.
func compile(t *testing.T, source string, imports ...protoreflect.FileDescriptor) []protoreflect.FileDescriptor {
	t.Helper()
	name := "shop.proto"
	if len(imports) > 0 {
		name = "app.proto"
	}
	linked := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		for _, f := range imports {
			if f.Path() == path {
				return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(f)}, nil
			}
		}
		f, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(f)}, nil
	})
	compiler := protocompile.Compiler{Resolver: protocompile.CompositeResolver{
		&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{name: source})},
		linked,
	}}
	files, err := compiler.Compile(t.Context(), name)
	if err != nil {
		t.Fatalf("compiling: %v", err)
	}
	return []protoreflect.FileDescriptor{files[0]}
}
