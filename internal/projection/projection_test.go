package projection_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/projection"
	"github.com/domicile-api/domicile/internal/protofile"
)

// head begins the files of the tests.
const head = `syntax = "proto3";

package shop.v1;

import "domicile/policy/v1/policy.proto";
import "google/protobuf/timestamp.proto";

`

// entity is one with a field of each kind that a projection treats differently. It uses its projections before they are there.
const entity = `// How an order is.
enum State {
  STATE_UNSPECIFIED = 0;
}

// What is ordered.
message Order {
  option (domicile.policy.v1.entity) = {
    id_prefix: "ord"
    key: "id"
    projections: [
      {name: "OrderSummary", scope: SCOPE_GLOBAL},
      {name: "OrderRecord", scope: SCOPE_JURISDICTION}
    ]
  };

  // Where it goes.
  message Parcel {
    string label = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  }

  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  string buyer = 2 [(domicile.policy.v1.class) = DATA_CLASS_PII];
  optional State state = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  repeated Parcel parcels = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  map<string, Parcel> by_code = 5 [
    (domicile.policy.v1.class) = DATA_CLASS_REGIONAL,
    json_name = "codes",
    deprecated = true
  ];
  oneof paid_with {
    string card = 6 [(domicile.policy.v1.class) = DATA_CLASS_PII];
    string voucher = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
    int64 points = 8 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];
  }
  google.protobuf.Timestamp create_time = 9 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
} // ends here
`

const summary = `// The command "generate" writes OrderSummary; change Order instead.

// The part of Order that every region may know: exactly its GLOBAL fields.
message OrderSummary {
  option (domicile.policy.v1.projection_of) = {
    entity: "shop.v1.Order"
    scope: SCOPE_GLOBAL
  };

  // See Order.id.
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  // See Order.state.
  optional State state = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  // See Order.parcels.
  repeated Order.Parcel parcels = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  // See Order.paid_with.
  oneof paid_with {
    // See Order.voucher.
    string voucher = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  }
  // See Order.create_time.
  google.protobuf.Timestamp create_time = 9 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
`

const record = `// The command "generate" writes OrderRecord; change Order instead.

// The part of Order that the regions of the jurisdiction may know: exactly its GLOBAL and REGIONAL fields.
message OrderRecord {
  option (domicile.policy.v1.projection_of) = {
    entity: "shop.v1.Order"
    scope: SCOPE_JURISDICTION
  };

  // See Order.id.
  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  // See Order.state.
  optional State state = 3 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  // See Order.parcels.
  repeated Order.Parcel parcels = 4 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
  // See Order.by_code.
  map<string, Order.Parcel> by_code = 5 [
    (domicile.policy.v1.class) = DATA_CLASS_REGIONAL,
    deprecated = true,
    json_name = "codes"
  ];
  // See Order.paid_with.
  oneof paid_with {
    // See Order.voucher.
    string voucher = 7 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
    // See Order.points.
    int64 points = 8 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];
  }
  // See Order.create_time.
  google.protobuf.Timestamp create_time = 9 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
`

// user is what follows an entity and names its projections.
const user = `
// A page.
message Page {
  repeated OrderSummary summaries = 1;
}
`

// read makes a set of one file, shop.proto, and tells what its name begins with.
func read(t *testing.T, text string) (set *protofile.Set, folder string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.proto"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := protofile.Read([]string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set, dir + string(filepath.Separator)
}

func TestWrite(t *testing.T) {
	t.Parallel()
	note := func(projection string) string { return strings.SplitAfter(projection, "\n\n")[0] }
	written := head + entity + "\n" + summary + "\n" + record + user
	for name, text := range map[string]string{
		"nothing is there":    head + entity + user,
		"all is there":        written,
		"one is there":        head + entity + "\n" + summary + user,
		"without the notes":   strings.NewReplacer(note(summary), "", note(record), "").Replace(written),
		"without the comment": strings.ReplaceAll(written, "// The part of Order that every region may know: exactly its GLOBAL fields.\n", ""),
		"with other fields":   strings.ReplaceAll(written, "  // See Order.points.\n    int64 points = 8 [(domicile.policy.v1.class) = DATA_CLASS_REGIONAL];\n", "  int64 points = 19;\n  string more = 12;\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, _ := read(t, text)
			result, err := projection.Write(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			got := set.With(result.Texts).Text("shop.proto")
			if diff := cmp.Diff(written, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (text == written) != (len(result.Texts) == 0) || (text == written) != (len(result.Stale) == 0) {
				t.Errorf("changes %v, %v", result.Texts, result.Stale)
			}
		})
	}
}

// What stands between, above and below the projections is the author's, and so are their places.
func TestWriteKeepsWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	moved := strings.Replace(summary, "// The part of Order that every region may know: exactly its GLOBAL fields.", "// What a buyer's colleagues see.", 1)
	text := head + moved + "\n" + entity + user + "\n// Last word.\n"
	set, folder := read(t, strings.Replace(text, "  // See Order.id.\n", "", 1))
	result, err := projection.Write(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	want := head + moved + "\n" + entity + "\n" + record + user + "\n// Last word.\n"
	if diff := cmp.Diff(want, result.Texts["shop.proto"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	stale := []projection.Stale{
		{At: folder + "shop.proto:11:1", Message: "OrderSummary", Entity: "Order"}, {At: folder + "shop.proto:37:1", Message: "OrderRecord", Entity: "Order"},
	}
	if diff := cmp.Diff(stale, result.Stale); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	const id = "  string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];\n  string buyer"
	for name, c := range map[string]struct{ old, now, want string }{
		"not a proto":          {"message Order", "mesage Order", "shop.proto:14:1: syntax error"},
		"an unknown type":      {"optional State", "optional Status", "shop.proto:31:12: field shop.v1.Order.state: unknown type Status"},
		"no class":             {id, strings.Replace(id, " [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]", "", 1), `shop.proto:29:3: field "shop.v1.Order.id" has no data class`},
		"a nested field above": {"string label = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL]", "string label = 1 [(domicile.policy.v1.class) = DATA_CLASS_PII]", `shop.proto:32:3: field "shop.v1.Order.parcels" is GLOBAL and reaches a PII field`},
		"an Any": {
			"google.protobuf.Timestamp create_time = 9", "google.protobuf.Any create_time = 9", "shop.proto:43:3: ",
		},
		"a key that is not":   {`key: "id"`, `key: "ids"`, `which is not one of its fields`},
		"no scope":            {", scope: SCOPE_GLOBAL", "", `shop.proto:14:1: projection "OrderSummary" has no scope`},
		"a name that is none": {`"OrderSummary", s`, `"order summary", s`, `shop.proto:14:1: Order lists a projection with the name "order summary"`},
		"one name twice":      {`"OrderRecord"`, `"OrderSummary"`, `"OrderSummary" is listed twice`},
		"another's message":   {`"OrderRecord"`, `"Page"`, `Order lists "Page" as its projection, and that is another message`},
		"itself":              {`"OrderRecord"`, `"Order"`, `Order lists "Order" as its projection, and that is another message`},
		"a nested entity": {
			"  // Where it goes.\n  message Parcel {\n", "  message Parcel {\n    option (domicile.policy.v1.entity) = {projections: {name: \"P\", scope: SCOPE_GLOBAL}};\n",
			"Order.Parcel lists projections; only a message that stands by itself can",
		},
		"a value that is none": {`id_prefix: "ord"`, `id_prefix: "ord" ownership: 9999999999`, "shop.proto:14:1: Order: reading option (domicile.policy.v1.entity)"},
		"not in one piece": {
			"    id_prefix: \"ord\"\n    key: \"id\"\n", "    key: \"id\"\n  };\n  option (domicile.policy.v1.entity).projections = {\n",
			"shop.proto:14:1: Order: say what it is in one option (domicile.policy.v1.entity) = {…}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(head+entity+user, c.old, c.now, 1)
			if name == "an Any" {
				text = strings.Replace(text, "google/protobuf/timestamp.proto", "google/protobuf/any.proto", 1)
			}
			set, folder := read(t, text)
			result, err := projection.Write(t.Context(), set)
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), folder, ""), c.want) {
				t.Errorf("wrote %v, or refused without %q: %v", result, c.want, err)
			}
		})
	}
}

func TestWriteRefusesAnotherSyntax(t *testing.T) {
	t.Parallel()
	text := strings.Replace(head, "proto3", "proto2", 1) + `message Order {
  option (domicile.policy.v1.entity) = {id_prefix: "ord" key: "id" projections: {name: "OrderSummary" scope: SCOPE_GLOBAL}};
  optional string id = 1 [(domicile.policy.v1.class) = DATA_CLASS_GLOBAL];
}
`
	const want = "shop.proto:8:1: Order lists projections, which are written as proto3; the file has another syntax"
	set, folder := read(t, text)
	if _, err := projection.Write(t.Context(), set); err == nil || err.Error() != folder+want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The platform's own projections are written by the command, and are current.
func TestTheContractsAreCurrent(t *testing.T) {
	t.Parallel()
	set, err := protofile.Read([]string{"../../proto"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := projection.Write(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Stale {
		t.Errorf("%s: %s is not what the classes of %s say", s.At, s.Message, s.Entity)
	}
	changed := set.With(map[string]string{"domicile/profile/v1/profile.proto": strings.Replace(
		set.Text("domicile/profile/v1/profile.proto"), "  string handle = 8 [\n    (domicile.policy.v1.class) = DATA_CLASS_GLOBAL",
		"  string handle = 8 [\n    (domicile.policy.v1.class) = DATA_CLASS_REGIONAL", 1)})
	if result, err = projection.Write(t.Context(), changed); err != nil || len(result.Stale) != 2 {
		t.Errorf("after a class was tightened: %v, %v", result, err)
	}
}
