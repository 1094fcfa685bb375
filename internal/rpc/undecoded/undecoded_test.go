package undecoded_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// What is said of a body is found again behind whatever a library puts in front of it, and holds nothing of the body.
func TestFaultFindsWhatDescribeSays(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"canary":1}`:                     "the request does not decode: there is a field that the contract does not have at line 1, column 2",
		`{"user":{"handle":7}}`:            "the request does not decode: a value has not the form that the contract gives it (field handle) at line 1, column 19",
		`{"user":{},"user":{"x":"canary"`:  "the request does not decode: a field is given twice at line 1, column 12",
		"{\"user\":{\"handle\":\"\xff\"}}": "the request does not decode: a text is not valid UTF-8 at line 1, column 19",
		`{"user":`:                         "the request does not decode: it is not a message of the contract",
	} {
		err := undecoded.Describe(protojson.Unmarshal([]byte(body), &profilev1.CreateUserRequest{}))
		if _, ok := errors.AsType[*undecoded.Error](err); !ok || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
			continue
		}
		f := undecoded.Fault(fmt.Sprintf("unmarshal message: %v", err))
		if f == nil || f.Message != want {
			t.Errorf("%s: found %v", body, f)
		}
	}
	if err := undecoded.Describe(proto.Unmarshal([]byte{0xff}, &profilev1.User{})); err == nil || undecoded.Fault(err.Error()) == nil {
		t.Errorf("of a binary message: %v", err)
	}
	if undecoded.Fault(undecoded.Empty().Error()) == nil {
		t.Error("an empty body is not found again")
	}
	if f := undecoded.Fault(undecoded.Formless("handle").Error()); f == nil || len(f.Violations) != 1 || f.Violations[0].Field != "handle" {
		t.Error("a null is not found again")
	}
	if undecoded.Describe(nil) != nil || undecoded.Fault("the request does not decode: canary") != nil {
		t.Error("something was found in nothing")
	}
}
