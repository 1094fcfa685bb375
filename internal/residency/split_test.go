package residency_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/internal/testpb"
)

func TestSplitByClass(t *testing.T) {
	t.Parallel()
	user := &profilev1.User{
		Id: "usr_1", GivenName: "Ada", Email: "ada@example.test", RegulatedNote: "note", Handle: "ada", Locale: "en-GB",
		PostalAddress: &profilev1.PostalAddress{Lines: []string{"1 Street"}}, CreateTime: timestamppb.New(timestamppb.Now().AsTime()),
		Role: profilev1.Role_ROLE_ADMIN,
	}
	user.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 7))

	open, guarded := residency.Split(user)

	wantOpen := &profilev1.User{Id: "usr_1", Handle: "ada", Locale: "en-GB", CreateTime: user.GetCreateTime(), Role: profilev1.Role_ROLE_ADMIN}
	if diff := cmp.Diff(wantOpen, open, protocmp.Transform()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	wantGuarded := &profilev1.User{GivenName: "Ada", Email: "ada@example.test", RegulatedNote: "note", PostalAddress: user.GetPostalAddress()}
	wantGuarded.ProtoReflect().SetUnknown(user.ProtoReflect().GetUnknown())
	if diff := cmp.Diff(wantGuarded, guarded, protocmp.Transform()); diff != "" {
		t.Errorf("guarded (-want +got):\n%s", diff)
	}
}

// The inner fields of a GLOBAL message field have classes of their own; those of a guarded one do not matter.
func TestSplitInnerClasses(t *testing.T) {
	t.Parallel()
	m := &testpb.Shapes{
		Part:       &testpb.Part{Label: "open", Person: "shut", Child: &testpb.Part{Label: "open", Secret: "shut"}},
		HiddenPart: &testpb.Part{Label: "shut"},
		Parts:      []*testpb.Part{{Label: "open"}, {Person: "shut"}, {}},
		PartByKey:  map[string]*testpb.Part{"a": {Label: "open"}, "b": {Matter: "shut"}},
		Choice:     &testpb.Shapes_PartChoice{PartChoice: &testpb.Part{Unclassified: "shut"}},
	}
	open, guarded := residency.Split(m)
	wantOpen := &testpb.Shapes{
		Part:      &testpb.Part{Label: "open", Child: &testpb.Part{Label: "open"}},
		Parts:     []*testpb.Part{{Label: "open"}, {}, {}},
		PartByKey: map[string]*testpb.Part{"a": {Label: "open"}, "b": {}},
		Choice:    &testpb.Shapes_PartChoice{PartChoice: &testpb.Part{}},
	}
	if diff := cmp.Diff(wantOpen, open, protocmp.Transform()); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	wantGuarded := &testpb.Shapes{
		Part:       &testpb.Part{Person: "shut", Child: &testpb.Part{Secret: "shut"}},
		HiddenPart: &testpb.Part{Label: "shut"},
		Parts:      []*testpb.Part{{}, {Person: "shut"}, {}},
		PartByKey:  map[string]*testpb.Part{"b": {Matter: "shut"}},
		Choice:     &testpb.Shapes_PartChoice{PartChoice: &testpb.Part{Unclassified: "shut"}},
	}
	if diff := cmp.Diff(wantGuarded, guarded, protocmp.Transform()); diff != "" {
		t.Errorf("guarded (-want +got):\n%s", diff)
	}
}

// Split and Merge are inverse for any message, also after both parts went through the store, and the open part holds nothing above
// GLOBAL.
func TestSplitMergeRoundTrip(t *testing.T) {
	t.Parallel()
	for _, of := range []proto.Message{&profilev1.User{}, &testpb.Shapes{}, &profilev1.ListUsersResponse{}} {
		t.Run(string(of.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := random{t: t, unknown: true}.message(of)
				before := proto.Clone(m)
				open, guarded := residency.Split(m)
				raw := marshal(t, open)
				if leaks(string(raw)) {
					t.Fatalf("the open part holds more than GLOBAL fields: %q", raw)
				}
				got := residency.Merge(unmarshal(t, of, raw), unmarshal(t, of, marshal(t, guarded)))
				if !proto.Equal(m, got) {
					t.Fatalf("merged is not what was split (-want +got):\n%s", cmp.Diff(m, got, protocmp.Transform()))
				}
				if !proto.Equal(before, m) {
					t.Fatal("Split changed its argument")
				}
			})
		})
	}
}

// What was stored under the classes of another release still comes together: a field that was guarded and is GLOBAL now, and
// the reverse.
func TestMergeAcrossReleases(t *testing.T) {
	t.Parallel()
	open := &testpb.Shapes{Id: "1", Names: []string{"was GLOBAL"}, HiddenPart: &testpb.Part{Label: "was GLOBAL"}}
	guarded := &testpb.Shapes{Tags: []string{"was PII"}, Parts: []*testpb.Part{{Label: "was PII"}}}
	want := &testpb.Shapes{
		Id: "1", Names: []string{"was GLOBAL"}, HiddenPart: &testpb.Part{Label: "was GLOBAL"}, Tags: []string{"was PII"},
		Parts: []*testpb.Part{{Label: "was PII"}},
	}
	if diff := cmp.Diff(want, residency.Merge(open, guarded), protocmp.Transform()); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

// The parts share nothing with the message: changing one does not change the other.
func TestSplitSharesNothing(t *testing.T) {
	t.Parallel()
	m := &testpb.Shapes{Blob: []byte("a"), HiddenBlob: []byte("b"), HiddenPart: &testpb.Part{Label: "c"}, BytesByNumber: map[int32][]byte{1: []byte("d")}}
	open, guarded := residency.Split(m)
	m.Blob[0], m.HiddenBlob[0], m.HiddenPart.Label, m.BytesByNumber[1][0] = 'x', 'x', "x", 'x'
	want := &testpb.Shapes{Blob: []byte("a"), HiddenBlob: []byte("b"), HiddenPart: &testpb.Part{Label: "c"}, BytesByNumber: map[int32][]byte{1: []byte("d")}}
	if diff := cmp.Diff(want, residency.Merge(open, guarded), protocmp.Transform()); diff != "" {
		t.Errorf("after the message was changed (-want +got):\n%s", diff)
	}
}

func marshal(t rapid.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatalf("marshalling %s: %v", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return raw
}

func unmarshal(t rapid.TB, of proto.Message, raw []byte) proto.Message {
	t.Helper()
	m := of.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(raw, m); err != nil {
		t.Fatalf("unmarshalling %s: %v", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return m
}
