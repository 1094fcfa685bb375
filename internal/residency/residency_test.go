package residency_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/internal/testpb"
)

const (
	none     = policyv1.DataClass_DATA_CLASS_UNSPECIFIED
	global   = policyv1.DataClass_DATA_CLASS_GLOBAL
	regional = policyv1.DataClass_DATA_CLASS_REGIONAL
	pii      = policyv1.DataClass_DATA_CLASS_PII
	secret   = policyv1.DataClass_DATA_CLASS_SECRET
)

func TestClasses(t *testing.T) {
	t.Parallel()
	shapes := (&testpb.Shapes{}).ProtoReflect().Descriptor()
	user := (&profilev1.User{}).ProtoReflect().Descriptor()
	tests := []struct {
		message             protoreflect.MessageDescriptor
		field               protoreflect.Name
		declared, effective policyv1.DataClass
	}{
		{user, "id", global, global},
		{user, "email", pii, pii},
		{user, "regulated_note", regional, regional},
		{shapes, "unclassified", none, pii},
		{shapes, "any", global, pii},
		{shapes, "struct", global, pii},
		{shapes, "time", global, global},
		{shapes, "shut_choice", secret, secret},
		{shapes, "part_by_key", global, global},
	}
	for _, tt := range tests {
		fd := tt.message.Fields().ByName(tt.field)
		if got := residency.ClassOf(fd); got != tt.declared {
			t.Errorf("ClassOf(%s) = %s, want %s", fd.FullName(), got, tt.declared)
		}
		if got := residency.Effective(fd); got != tt.effective {
			t.Errorf("Effective(%s) = %s, want %s", fd.FullName(), got, tt.effective)
		}
	}
}

func TestHighestClass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		message proto.Message
		want    policyv1.DataClass
	}{
		{&profilev1.DeleteUserResponse{}, global},
		{&profilev1.UserSummary{}, global},
		{&profilev1.ListUserSummariesResponse{}, global},
		{&profilev1.GetUserRecordResponse{}, regional},
		{&profilev1.ListUsersResponse{}, pii},
		{&tenancyv1.CreateApiKeyResponse{}, secret},
		{&testpb.Part{}, secret},
		{&testpb.Shapes{}, secret},
	}
	for _, tt := range tests {
		md := tt.message.ProtoReflect().Descriptor()
		if got := residency.HighestClass(md); got != tt.want {
			t.Errorf("HighestClass(%s) = %s, want %s", md.FullName(), got, tt.want)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	user := (&profilev1.User{}).ProtoReflect().Descriptor()
	summary := (&profilev1.UserSummary{}).ProtoReflect().Descriptor()
	entity, ok := residency.EntityOf(user)
	if !ok || entity.GetIdPrefix() != "usr" || entity.GetKey() != "id" {
		t.Errorf("EntityOf(User) = %v, %v", entity, ok)
	}
	if _, ok := residency.EntityOf(summary); ok {
		t.Error("UserSummary is no entity")
	}
	projection, ok := residency.ProjectionOf(summary)
	if !ok || projection.GetEntity() != "domicile.profile.v1.User" || projection.GetScope() != policyv1.Scope_SCOPE_GLOBAL {
		t.Errorf("ProjectionOf(UserSummary) = %v, %v", projection, ok)
	}
	if _, ok := residency.ProjectionOf(user); ok {
		t.Error("User is no projection")
	}
	if lookups := residency.LookupFields(user); len(lookups) != 1 || lookups[0].Name() != "email" {
		t.Errorf("LookupFields(User) = %v, want email", lookups)
	}
}

func TestMethodPolicyOf(t *testing.T) {
	t.Parallel()
	profile := profilev1.File_domicile_profile_v1_profile_proto.Services().ByName("ProfileService").Methods()
	tenancy := tenancyv1.File_domicile_tenancy_v1_tenancy_proto.Services().ByName("TenancyService").Methods()
	home, keyed := policyv1.Route_ROUTE_HOME, policyv1.Idempotency_IDEMPOTENCY_KEYED
	read := policyv1.Idempotency_IDEMPOTENCY_READ
	tests := []struct {
		method protoreflect.MethodDescriptor
		want   residency.MethodPolicy
	}{
		{profile.ByName("CreateUser"), residency.MethodPolicy{Route: home, Idempotency: keyed, Request: pii, Response: pii}},
		{profile.ByName("GetUser"), residency.MethodPolicy{Route: home, Idempotency: read, NoSideEffects: true, Request: global, Response: pii}},
		{profile.ByName("GetUserRecord"), residency.MethodPolicy{Route: policyv1.Route_ROUTE_NEAREST, Idempotency: read, NoSideEffects: true, Request: global, Response: regional}},
		{tenancy.ByName("CreateApiKey"), residency.MethodPolicy{Route: policyv1.Route_ROUTE_CONTROL, Idempotency: keyed, RevealsSecret: true, Request: global, Response: secret}},
	}
	for _, tt := range tests {
		for range 2 { // the second is answered from what was kept
			if diff := cmp.Diff(tt.want, residency.MethodPolicyOf(tt.method)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.method.FullName(), diff)
			}
		}
	}
}

// Descriptors that other programs hand over, as buf does to its plugins, have the options as unknown bytes.
func TestOptionsAsUnknownBytes(t *testing.T) {
	t.Parallel()
	raw, err := proto.Marshal(protodesc.ToFileDescriptorProto(profilev1.File_domicile_profile_v1_profile_proto))
	if err != nil {
		t.Fatal(err)
	}
	file := &descriptorpb.FileDescriptorProto{}
	if err := (proto.UnmarshalOptions{Resolver: (*protoregistry.Types)(nil)}).Unmarshal(raw, file); err != nil {
		t.Fatal(err)
	}
	made, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	user := made.Messages().ByName("User")
	if options, ok := user.Fields().ByName("email").Options().(*descriptorpb.FieldOptions); !ok || len(options.ProtoReflect().GetUnknown()) == 0 {
		t.Fatal("the options are not unknown bytes, so the test tests nothing")
	}
	if got := residency.ClassOf(user.Fields().ByName("email")); got != pii {
		t.Errorf("ClassOf(email) = %s, want PII", got)
	}
	if entity, ok := residency.EntityOf(user); !ok || entity.GetKey() != "id" {
		t.Errorf("EntityOf(User) = %v, %v", entity, ok)
	}
	if got := residency.MethodPolicyOf(made.Services().ByName("ProfileService").Methods().ByName("GetUser")); !got.NoSideEffects || got.Response != pii {
		t.Errorf("MethodPolicyOf(GetUser) = %+v", got)
	}
}

func TestMergeOf(t *testing.T) {
	t.Parallel()
	want := map[protoreflect.Name]policyv1.Merge{
		"id": policyv1.Merge_MERGE_UNSPECIFIED, "title": policyv1.Merge_MERGE_LWW, "best": policyv1.Merge_MERGE_MAX,
		"visits": policyv1.Merge_MERGE_COUNTER, "colors": policyv1.Merge_MERGE_OR_SET,
	}
	fields := (&testpb.Board{}).ProtoReflect().Descriptor().Fields()
	got := map[protoreflect.Name]policyv1.Merge{}
	for i := range fields.Len() {
		got[fields.Get(i).Name()] = residency.MergeOf(fields.Get(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merges (-want +got):\n%s", diff)
	}
}
