package entity_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

func TestApplyMask(t *testing.T) {
	t.Parallel()
	stored := &profilev1.User{
		Id: "usr_1", GivenName: "Ada", FamilyName: "Byron", Locale: "en-GB", Handle: "ada",
		PostalAddress: &profilev1.PostalAddress{Lines: []string{"12 St James's Square"}, Locality: "London", Country: "GB"},
		CreateTime:    timestamppb.New(start), UpdateTime: timestamppb.New(start), Etag: "old",
	}
	stored.ProtoReflect().SetUnknown([]byte{0x9a, 0x06, 0x01, 'x'}) // field 99
	given := &profilev1.User{
		Id: "usr_2", FamilyName: "Lovelace", Locale: "en-US",
		PostalAddress: &profilev1.PostalAddress{Locality: "Ockham"},
		CreateTime:    timestamppb.New(start.AddDate(1, 0, 0)), Etag: "new",
	}
	for name, test := range map[string]struct {
		paths []string
		src   *profilev1.User
		want  func(*profilev1.User)
	}{
		"no mask sets what is given": {nil, given, func(u *profilev1.User) {
			u.FamilyName, u.Locale = "Lovelace", "en-US"
			u.PostalAddress = &profilev1.PostalAddress{Locality: "Ockham"}
		}},
		"one field":                            {[]string{"family_name"}, given, func(u *profilev1.User) { u.FamilyName = "Lovelace" }},
		"a field that is not given is cleared": {[]string{"handle"}, given, func(u *profilev1.User) { u.Handle = "" }},
		"a field within a message": {[]string{"postal_address.locality"}, given, func(u *profilev1.User) {
			u.PostalAddress.Locality = "Ockham"
		}},
		"a list within a message, whole": {[]string{"postal_address.lines"}, given, func(u *profilev1.User) {
			u.PostalAddress.Lines = nil
		}},
		"within a message that is not given": {[]string{"postal_address.country"}, &profilev1.User{}, func(u *profilev1.User) {
			u.PostalAddress.Country = ""
		}},
		"a message that is not given": {[]string{"postal_address"}, &profilev1.User{}, func(u *profilev1.User) {
			u.PostalAddress = nil
		}},
		"what the server gives is ignored": {[]string{"id", "create_time", "update_time", "etag"}, given, func(*profilev1.User) {}},
		"star replaces all that the server does not give": {[]string{"*"}, given, func(u *profilev1.User) {
			u.GivenName, u.FamilyName, u.Locale, u.Handle = "", "Lovelace", "en-US", ""
			u.PostalAddress = &profilev1.PostalAddress{Locality: "Ockham"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, want, src := proto.CloneOf(stored), proto.CloneOf(stored), proto.CloneOf(test.src)
			test.want(want)
			if err := entity.ApplyMask(got, src, &fieldmaskpb.FieldMask{Paths: test.paths}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.GetPostalAddress() != nil {
				got.PostalAddress.Locality = "elsewhere"
			}
			if diff := cmp.Diff(test.src, src, protocmp.Transform()); diff != "" {
				t.Errorf("the result shares with its source:\n%s", diff)
			}
		})
	}
}

func TestApplyMaskIntoAbsentMessage(t *testing.T) {
	t.Parallel()
	user := &profilev1.User{}
	if err := entity.ApplyMask(user, &profilev1.User{}, &fieldmaskpb.FieldMask{Paths: []string{"postal_address.country"}}); err != nil {
		t.Fatal(err)
	}
	if user.GetPostalAddress() != nil {
		t.Error("an empty message was made to hold an absence")
	}
}

func TestApplyMaskRefusesUnknownPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", ".", "canary", "given_name.canary", "postal_address.canary", "postal_address.lines.canary", "postal_address.",
		"postalAddress", "locale,handle", "create_time.canary", "* ",
	} {
		user := &profilev1.User{Locale: "de-DE"}
		err := entity.ApplyMask(user, &profilev1.User{Locale: "fr-FR"}, &fieldmaskpb.FieldMask{Paths: []string{"locale", path}})
		var f *fault.Error
		if !errors.As(err, &f) || f.Reason != errorsv1.Reason_REASON_INVALID_ARGUMENT || len(f.Violations) != 1 {
			t.Errorf("%q: %v", path, err)
			continue
		}
		if strings.Contains(err.Error()+f.Violations[0].Message+f.Violations[0].Field, "canary") {
			t.Errorf("%q is echoed", path)
		}
		if user.GetLocale() != "de-DE" {
			t.Errorf("%q: a refused mask changed the entity", path)
		}
	}
}
