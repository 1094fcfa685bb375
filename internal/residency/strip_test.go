package residency_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/internal/testpb"
)

// unknownField is a field that no message of the tests has.
func unknownField() []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 5000, protowire.BytesType), "of a newer release")
}

func TestStrip(t *testing.T) {
	t.Parallel()
	answer := &tenancyv1.CreateApiKeyResponse{ApiKey: &tenancyv1.ApiKey{Id: "k1"}, Secret: "dk_acme_k1_s"}
	answer.GetApiKey().ProtoReflect().SetUnknown(unknownField())
	want := &tenancyv1.CreateApiKeyResponse{ApiKey: &tenancyv1.ApiKey{Id: "k1"}}
	if diff := cmp.Diff(want, residency.Strip(answer, secret), protocmp.Transform()); diff != "" {
		t.Errorf("stripped answer (-want +got):\n%s", diff)
	}
	if answer.GetSecret() == "" {
		t.Error("Strip changed its argument")
	}

	deep := &testpb.Shapes{
		HiddenPart: &testpb.Part{Secret: "s", Person: "p", Child: &testpb.Part{Secret: "s", Label: "l"}},
		Parts:      []*testpb.Part{{Secret: "s"}, {Matter: "m"}},
		PartByKey:  map[string]*testpb.Part{"k": {Secret: "s", Label: "l"}},
		Choice:     &testpb.Shapes_ShutChoice{ShutChoice: "s"},
		Names:      []string{"n"},
	}
	wantDeep := &testpb.Shapes{
		HiddenPart: &testpb.Part{Person: "p", Child: &testpb.Part{Label: "l"}},
		Parts:      []*testpb.Part{{}, {Matter: "m"}},
		PartByKey:  map[string]*testpb.Part{"k": {Label: "l"}},
		Names:      []string{"n"},
	}
	if diff := cmp.Diff(wantDeep, residency.Strip(deep, secret), protocmp.Transform()); diff != "" {
		t.Errorf("stripped entity (-want +got):\n%s", diff)
	}
}

// Dropping unknown fields at every depth leaves what decoding with DiscardUnknown leaves.
func TestDropUnknown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := random{t: t, unknown: true}.message(&testpb.Shapes{})
		want := &testpb.Shapes{}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(marshal(t, m), want); err != nil {
			t.Fatal(err)
		}
		residency.DropUnknown(m)
		if !proto.Equal(want, m) {
			t.Fatalf("without unknown fields (-want +got):\n%s", cmp.Diff(want, m, protocmp.Transform()))
		}
	})
}
