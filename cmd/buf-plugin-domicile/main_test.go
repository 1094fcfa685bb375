package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	descriptorv1 "buf.build/gen/go/bufbuild/bufplugin/protocolbuffers/go/buf/plugin/descriptor/v1"
	"buf.build/go/bufplugin/check"
	"buf.build/go/bufplugin/descriptor"
	"buf.build/go/bufplugin/option"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
)

func TestSpec(t *testing.T) {
	t.Parallel()
	if err := check.ValidateSpec(spec()); err != nil {
		t.Fatal(err)
	}
}

// The contract of this repository passes; with one class loosened it is refused, by lint and by breaking, until the decision
// file is there. The plugin is asked as buf asks it, over its own protocol.
func TestPlugin(t *testing.T) {
	t.Parallel()
	decisions := t.TempDir()
	if got := ask(t, profile(t, nil), profile(t, nil), decisions); len(got) != 0 {
		t.Errorf("the contract of this repository is refused: %q", got)
	}
	loosened := profile(t, func(file *descriptorpb.FileDescriptorProto) {
		for _, m := range file.GetMessageType() {
			for _, f := range m.GetField() {
				if m.GetName() == "User" && f.GetName() == "phone" {
					proto.SetExtension(f.GetOptions(), policyv1.E_Class, policyv1.DataClass_DATA_CLASS_GLOBAL)
				}
			}
		}
	})
	lint := []string{
		`DOMICILE_PROJECTION_EXACT: projection "domicile.profile.v1.UserRecord" lacks the field "phone" = 5 of "domicile.profile.v1.User", which is GLOBAL`,
		`DOMICILE_PROJECTION_EXACT: projection "domicile.profile.v1.UserSummary" lacks the field "phone" = 5 of "domicile.profile.v1.User", which is GLOBAL`,
	}
	breaking := `DOMICILE_CLASS_KEPT: field "domicile.profile.v1.User.phone" was PII in the last release and is GLOBAL now; tenants were promised the former. ` +
		`To loosen it, write the decision docs/decisions/NNNN-loosen-domicile.profile.v1.User.phone.md`
	if diff := cmp.Diff(append(lint, breaking), ask(t, loosened, profile(t, nil), decisions)); diff != "" {
		t.Errorf("loosened without a decision (-want +got):\n%s", diff)
	}
	decision := filepath.Join(decisions, "0042-loosen-domicile.profile.v1.User.phone.md")
	if err := os.WriteFile(decision, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(lint, breaking), ask(t, loosened, profile(t, nil), decisions)); diff != "" {
		t.Errorf("loosened with an empty decision (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(decision, []byte("# We loosen it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lint, ask(t, loosened, profile(t, nil), decisions)); diff != "" {
		t.Errorf("loosened with a decision (-want +got):\n%s", diff)
	}
}

// ask runs all rules and returns what they refuse.
func ask(t *testing.T, files, against []descriptor.FileDescriptor, decisions string) []string {
	t.Helper()
	options, err := option.NewOptions(map[string]any{"decisions": decisions})
	if err != nil {
		t.Fatal(err)
	}
	request, err := check.NewRequest(files, check.WithAgainstFileDescriptors(against), check.WithOptions(options))
	if err != nil {
		t.Fatal(err)
	}
	client, err := check.NewClientForSpec(spec())
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Check(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var lint, breaking []string
	for _, a := range response.Annotations() {
		text := a.RuleID() + ": " + a.Message()
		if a.AgainstFileLocation() != nil {
			breaking = append(breaking, text)
			continue
		}
		lint = append(lint, text)
	}
	slices.Sort(lint) // the protocol sorts by place, which the linked-in descriptors do not have
	return append(lint, breaking...)
}

// profile is the profile contract with its imports, changed by edit.
func profile(t *testing.T, edit func(*descriptorpb.FileDescriptorProto)) []descriptor.FileDescriptor {
	t.Helper()
	var files []*descriptorv1.FileDescriptor
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		own := f.Path() == profilev1.File_domicile_profile_v1_profile_proto.Path()
		raw, ok := proto.Clone(protodesc.ToFileDescriptorProto(f)).(*descriptorpb.FileDescriptorProto)
		if !ok {
			t.Fatal("a clone is of another type")
		}
		if own && edit != nil {
			edit(raw)
		}
		files = append(files, &descriptorv1.FileDescriptor{FileDescriptorProto: raw, IsImport: !own})
	}
	add(profilev1.File_domicile_profile_v1_profile_proto)
	all, err := descriptor.FileDescriptorsForProtoFileDescriptors(files)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
