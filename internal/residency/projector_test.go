package residency_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/internal/testpb"
)

func projector(t rapid.TB, entity, projection proto.Message) *residency.Projector {
	t.Helper()
	p, err := residency.NewProjector(entity.ProtoReflect().Descriptor(), projection.ProtoReflect().Descriptor())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProject(t *testing.T) {
	t.Parallel()
	user := &profilev1.User{
		Id: "usr_1", GivenName: "Ada", Email: "ada@example.test", RegulatedNote: "kept", Handle: "ada", Locale: "en-GB",
		TimeZone: "Europe/London", Role: profilev1.Role_ROLE_OWNER, State: profilev1.UserState_USER_STATE_SUSPENDED,
		AvatarColor: "#123456", CreateTime: &timestamppb.Timestamp{Seconds: 1}, UpdateTime: &timestamppb.Timestamp{Nanos: 2}, Etag: "e",
	}
	summary := &profilev1.UserSummary{Handle: "of another user", UpdateTime: &timestamppb.Timestamp{Seconds: 9}}
	projector(t, user, summary).Project(summary, user)
	want := &profilev1.UserSummary{
		Id: "usr_1", Handle: "ada", Locale: "en-GB", TimeZone: "Europe/London", Role: profilev1.Role_ROLE_OWNER,
		State: profilev1.UserState_USER_STATE_SUSPENDED, AvatarColor: "#123456", CreateTime: &timestamppb.Timestamp{Seconds: 1},
		UpdateTime: &timestamppb.Timestamp{Nanos: 2}, Etag: "e",
	}
	if diff := cmp.Diff(want, summary, protocmp.Transform()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	record := &profilev1.UserRecord{}
	projector(t, user, record).Project(record, user)
	if record.GetRegulatedNote() != "kept" || record.GetHandle() != "ada" {
		t.Errorf("record = %v, want the note and the handle", record)
	}
	projector(t, user, summary).Project(summary, (*profilev1.User)(nil))
	if diff := cmp.Diff(&profilev1.UserSummary{}, summary, protocmp.Transform()); diff != "" {
		t.Errorf("projection of no user (-want +got):\n%s", diff)
	}
}

// A projection holds what Split leaves clear, nothing above its scope, and no unknown field, for generated and dynamic
// messages alike.
func TestProjectionHoldsNothingMore(t *testing.T) {
	t.Parallel()
	pairs := []struct{ entity, projection proto.Message }{
		{&profilev1.User{}, &profilev1.UserSummary{}},
		{&testpb.Account{}, &testpb.AccountSummary{}},
		{&testpb.Shapes{}, &testpb.ShapesSummary{}},
	}
	for _, pair := range pairs {
		t.Run(string(pair.projection.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				entity := random{t: t, unknown: true}.message(pair.entity)
				p := projector(t, pair.entity, pair.projection)
				generated := pair.projection.ProtoReflect().New().Interface()
				p.Project(generated, entity)
				raw := marshal(t, generated)
				if leaks(string(raw)) {
					t.Fatalf("the projection holds more than GLOBAL: %q", raw)
				}
				open, _ := residency.Split(entity)
				want := pair.projection.ProtoReflect().New().Interface()
				if err := proto.Unmarshal(marshal(t, open), want); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(want, generated) {
					t.Fatalf("projection (-want +got):\n%s", cmp.Diff(want, generated, protocmp.Transform()))
				}
				dynamic := dynamicpb.NewMessage(pair.projection.ProtoReflect().Descriptor())
				p.Project(dynamic, entity)
				if !proto.Equal(want, dynamic) {
					t.Fatalf("dynamic projection (-want +got):\n%s", cmp.Diff(want, dynamic, protocmp.Transform()))
				}
			})
		})
	}
}

// Changing the entity afterwards does not change the projection.
func TestProjectionSharesNothing(t *testing.T) {
	t.Parallel()
	src := &testpb.Shapes{Blob: []byte("a"), Maybe: proto.Int32(1), Tags: []string{"b"}, Time: &timestamppb.Timestamp{Seconds: 1}, Part: &testpb.Part{Label: "c"}}
	dst := &testpb.ShapesSummary{}
	projector(t, src, dst).Project(dst, src)
	want := proto.Clone(dst)
	src.Blob[0], *src.Maybe, src.Tags[0], src.Time.Seconds, src.Part.Label = 'x', 2, "x", 2, "x"
	if diff := cmp.Diff(want, dst, protocmp.Transform()); diff != "" {
		t.Errorf("after the entity was changed (-want +got):\n%s", diff)
	}
}

func TestNewProjectorRefuses(t *testing.T) {
	t.Parallel()
	user, account := (&profilev1.User{}).ProtoReflect().Descriptor(), (&testpb.Account{}).ProtoReflect().Descriptor()
	tests := []struct {
		name               string
		entity, projection protoreflect.MessageDescriptor
		want               string
	}{
		{"no projection", user, user, "domicile.profile.v1.User is not marked as a projection"},
		{"another entity's", account, (&profilev1.UserSummary{}).ProtoReflect().Descriptor(), "is a projection of domicile.profile.v1.User, not of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := residency.NewProjector(tt.entity, tt.projection); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestProjectPanicsOnOtherTypes(t *testing.T) {
	t.Parallel()
	p := projector(t, &profilev1.User{}, &profilev1.UserSummary{})
	defer func() {
		if recover() == nil {
			t.Error("a projector to summaries filled a record")
		}
	}()
	p.Project(&profilev1.UserRecord{}, &profilev1.User{RegulatedNote: "note"})
}

func TestCompareProjection(t *testing.T) {
	t.Parallel()
	user := (&profilev1.User{}).ProtoReflect().Descriptor()
	record := (&profilev1.UserRecord{}).ProtoReflect().Descriptor()
	if found := residency.CompareProjection(user, record, policyv1.Scope_SCOPE_JURISDICTION); len(found) != 0 {
		t.Errorf("UserRecord differs: %v", found)
	}
	found := residency.CompareProjection(user, record, policyv1.Scope_SCOPE_GLOBAL)
	want := `field "domicile.profile.v1.UserRecord.regulated_note" is REGIONAL in "domicile.profile.v1.User", more than a projection of SCOPE_GLOBAL may hold`
	if len(found) != 1 || found[0].Text != want {
		t.Errorf("differences = %v, want one: %s", found, want)
	}
}

func BenchmarkProject20Fields(b *testing.B) {
	src := &testpb.Account{
		Id: "acc_01j9zq3v5hf1s8y3h6d9r7k2ma", GivenName: "Ada", FamilyName: "Lovelace", Email: "ada@example.test", Note: "note",
		Handle: "ada", Locale: "en-GB", TimeZone: "Europe/London", Kind: testpb.Kind_KIND_FIRST, Level: 3, Quota: 1000, Active: true,
		Verified: true, Color: "#3366cc", Plan: "pro", Score: 0.5, Product: "engine", CreateTime: timestamppb.Now(),
		UpdateTime: timestamppb.Now(), Etag: "1-17",
	}
	dst := &testpb.AccountSummary{}
	p := projector(b, src, dst)
	b.ReportAllocs()
	for b.Loop() {
		p.Project(dst, src)
	}
}
