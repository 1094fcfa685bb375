package mount_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// Over REST a null is refused wherever the contract has a value: in the body, at any depth, and in the query. So is an enum's number.
func TestLooseValuesOverREST(t *testing.T) {
	t.Parallel()
	r := newRegion(t, regionConfig{})
	user := func(field string) string {
		return `{"givenName":"null","familyName":"B","email":"a@example.com","locale":"de",` + field + `}`
	}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		field              string
	}{
		"text":          {"POST", "/v1/users", user(`"handle":null`), 400, "handle"},
		"enum":          {"POST", "/v1/users", user(`"state":null`), 400, "state"},
		"message":       {"POST", "/v1/users", user(`"postalAddress":null`), 400, "postalAddress"},
		"in a message":  {"POST", "/v1/users", user(`"postalAddress":{"lines":["x"],"locality":null,"country":"DE"}`), 400, "locality"},
		"by field name": {"POST", "/v1/users", user(`"postal_address":{"lines":null,"locality":"y","country":"DE"}`), 400, "lines"},
		"enum's number": {"POST", "/v1/users", user(`"state": 1`), 400, "state"},
		"enum's name":   {"POST", "/v1/users", user(`"handle":"a-1","state":"USER_STATE_ACTIVE"`), 200, ""},
		"as a text":     {"POST", "/v1/users", user(`"handle":"null"`), 200, ""},
		"merge patch":   {"PATCH", "/v1/users/usr_1", `{"phone":null}`, 400, "phone"},
		"query":         {"GET", "/v1/users?pageSize=null", "", 400, "pageSize"},
		"query, a text": {"GET", "/v1/users?pageToken=null", "", 200, ""},
		"query, twice":  {"GET", "/v1/users?pageSize=1&pageSize=1", "", 400, "pageSize"},
	} {
		answer := rpctest.Exchange(t, rpctest.H1(t), r.request(t, c.method, c.path, "application/json", strings.NewReader(c.body)))
		if answer.Status != c.status || c.field != "" && !strings.Contains(answer.Body, `"field":"`+c.field+`"`) {
			t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
		}
		if c.status == http.StatusBadRequest && answer.Reason != "INVALID_ARGUMENT" {
			t.Errorf("%s: %s", name, answer.Reason)
		}
	}
}

// What null means something to may have it, and lists and maps are looked through.
func TestLooseIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message proto.Message
		data    string
		field   string
	}{
		"a value":        {&structpb.Value{}, `null`, ""},
		"a struct":       {&structpb.Struct{}, `{"a":null}`, ""},
		"a wrapper":      {&wrapperspb.StringValue{}, `null`, ""},
		"in a list":      {&settingsv1.UpdateSettingsRequest{}, `{"operations":[{"key":"a","set":null}]}`, "set"},
		"in a map":       {&settingsv1.Settings{}, `{"entries":{"null":{"value":null}}}`, "value"},
		"nothing":        {&settingsv1.Settings{}, `{"entries":{"null":{}}}`, ""},
		"a number":       {&profilev1.ListUsersRequest{}, `{"pageSize": 1}`, ""},
		"an enum":        {&profilev1.User{}, `{"role" : 1}`, "role"},
		"a list of null": {&profilev1.PostalAddress{}, `{"lines":["a",null]}`, "lines"},
	} {
		descriptor := c.message.ProtoReflect().Descriptor()
		if got := mount.LooseIn([]byte(c.data), descriptor); got != c.field {
			t.Errorf("%s: %q instead of %q", name, got, c.field)
		}
	}
}
