package check_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/residency/check"
)

const (
	boardTitle  = `string title = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_LWW];`
	boardColors = `repeated string colors = 6 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_OR_SET];`
	boardVisits = `sint64 visits = 5 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_COUNTER];`
	pinStamps   = `int64 stamps = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_COUNTER];`
)

func mergeRefusals() []refusal {
	title := func(field string) string { return strings.Replace(boardTitle, "string title", field, 1) }
	return []refusal{
		{"no merge", boardTitle, `string title = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.title" of a multi-primary entity has no merge; give it [(domicile.policy.v1.merge) = MERGE_...]`,
		}},
		{"no merge below a map", pinStamps, `int64 stamps = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Pin.stamps" of a multi-primary entity has no merge; give it [(domicile.policy.v1.merge) = MERGE_...]`,
		}},
		{"not GLOBAL", boardTitle + "\n  Frame frame", strings.Replace(boardTitle, "GLOBAL", "REGIONAL", 1) + "\n  Frame frame", []string{
			`DOMICILE_ANY_GLOBAL: method "shop.v1.OrderService.SetBoard" is ROUTE_ANY and its answer reaches a REGIONAL field; every region takes such calls, so make it GLOBAL or use ROUTE_HOME`,
			`DOMICILE_ANY_GLOBAL: method "shop.v1.OrderService.SetBoard" is ROUTE_ANY and its request reaches a REGIONAL field; every region takes such calls, so make it GLOBAL or use ROUTE_HOME`,
			`DOMICILE_FIELD_REACH: field "shop.v1.SetBoardRequest.board" is GLOBAL and reaches a REGIONAL field in "shop.v1.Board"; class the field REGIONAL`,
			`DOMICILE_FIELD_REACH: field "shop.v1.SetBoardResponse.board" is GLOBAL and reaches a REGIONAL field in "shop.v1.Board"; class the field REGIONAL`,
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.title" of a multi-primary entity is REGIONAL; every region holds it, so it must be GLOBAL`,
		}},
		{"merge of the key", `string name = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, `string name = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL, (domicile.policy.v1.merge) = MERGE_LWW];`, []string{
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.name" is the key of an entity and has a merge; a key never changes, leave the merge out`,
		}},
		{"merge of a HOME entity", `string note = 3 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];
  Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Address`, `string note = 3 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL, (domicile.policy.v1.merge) = MERGE_LWW];
  Money total = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  Address`, []string{
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Order.note" has a merge, and "shop.v1.Order" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
		}},
		{"entity no longer multi-primary", ` ownership: OWNERSHIP_MULTI_PRIMARY`, ``, []string{
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.best" has a merge, and "shop.v1.Board" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.colors" has a merge, and "shop.v1.Board" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.frame" has a merge, and "shop.v1.Board" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.title" has a merge, and "shop.v1.Board" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.visits" has a merge, and "shop.v1.Board" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Pin.stamps" has a merge, and "shop.v1.Pin" is not written by several regions; leave the merge out, or make the entity OWNERSHIP_MULTI_PRIMARY`,
		}},
		{"LWW of a list", boardTitle, title("repeated string title"), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.title" is repeated and has MERGE_LWW, which is for single fields; use MERGE_OR_SET or a message`,
		}},
		{"MAX of a text", boardTitle, strings.Replace(boardTitle, "LWW", "MAX", 1), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.title" has MERGE_MAX, which is for single integers`,
		}},
		{"COUNTER of a double", boardVisits, strings.Replace(boardVisits, "sint64", "double", 1), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.visits" has MERGE_COUNTER, which is for single integers`,
		}},
		{"COUNTER of a list", boardVisits, strings.Replace(boardVisits, "sint64", "repeated sint64", 1), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.visits" has MERGE_COUNTER, which is for single integers`,
		}},
		{"OR_SET of a single field", boardColors, strings.Replace(boardColors, "repeated ", "", 1), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.colors" has MERGE_OR_SET, which is for repeated scalars`,
		}},
		{"OR_SET of messages", boardColors, strings.Replace(boardColors, "string", "Money", 1), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.colors" has MERGE_OR_SET, which is for repeated scalars`,
		}},
		{"a merge of no kind", boardTitle, strings.Replace(boardTitle, "LWW", "UNSPECIFIED", 1), []string{
			`DOMICILE_MERGE_DECLARED: field "shop.v1.Board.title" of a multi-primary entity has no merge; give it [(domicile.policy.v1.merge) = MERGE_...]`,
		}},
		{"merge of a map", boardTitle, title("map<string, Pin> title"), []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.title" is a map and has MERGE_LWW; a map merges by key, leave it out`,
		}},
		{"map of scalars", boardTitle, `map<string, string> title = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.title" is a map of values that have no merges; make its values a message whose fields have them`,
		}},
		{"map of times", boardTitle, `map<string, google.protobuf.Timestamp> title = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];`, []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.title" is a map of values that have no merges; make its values a message whose fields have them`,
		}},
		{"a oneof", boardTitle, "oneof choice { " + boardTitle + " }", []string{
			`DOMICILE_MERGE_FITS: field "shop.v1.Board.title" has MERGE_LWW in a oneof, whose fields would be merged apart; put the oneof into a message with MERGE_LWW`,
		}},
		{"any region takes PII", `message SetBoardRequest {`, `message SetBoardRequest { string by = 2 [(domicile.policy.v1.class) = DATA_CLASS_PII];`, []string{
			`DOMICILE_ANY_GLOBAL: method "shop.v1.OrderService.SetBoard" is ROUTE_ANY and its request reaches a PII field; every region takes such calls, so make it GLOBAL or use ROUTE_HOME`,
		}},
		{"any region answers a REGIONAL field", `message SetBoardResponse {`, `message SetBoardResponse { string note = 2 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];`, []string{
			`DOMICILE_ANY_GLOBAL: method "shop.v1.OrderService.SetBoard" is ROUTE_ANY and its answer reaches a REGIONAL field; every region takes such calls, so make it GLOBAL or use ROUTE_HOME`,
		}},
	}
}

// The values of a map may be an import's: what they lack is said of the map.
func TestMergesOfImports(t *testing.T) {
	t.Parallel()
	imported := compile(t, shop)
	own := compile(t, `
		syntax = "proto3";
		package app.v1;
		import "domicile/policy/v1/policy.proto";
		import "shop.proto";
		message Wall {
			option (domicile.policy.v1.entity) = {id_prefix: "wll" key: "id" ownership: OWNERSHIP_MULTI_PRIMARY};
			string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
			map<string, shop.v1.Pin> pins = 2 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
			map<string, shop.v1.GetOrderRequest> orders = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
		}`, imported...)
	want := []string{
		`DOMICILE_MERGE_DECLARED: field "shop.v1.GetOrderRequest.id" of a multi-primary entity has no merge; give it [(domicile.policy.v1.merge) = MERGE_...]`,
	}
	if diff := cmp.Diff(want, findings(t, &check.Contract{Files: own, Imports: imported})); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
