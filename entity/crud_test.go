package entity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/store"
)

func TestCreateGetUpdateDelete(t *testing.T) {
	t.Parallel()
	w := memory(t)
	ctx, c := callOf(acme)
	given := user("ada")
	given.Id, given.Etag, given.CreateTime = "usr_mine", "mine", timestamppb.New(start)
	before := proto.CloneOf(given)
	made := w.mustCreate(ctx, given)
	if diff := cmp.Diff(before, given, protocmp.Transform()); diff != "" {
		t.Errorf("Create changed its argument:\n%s", diff)
	}
	want := user("ada")
	want.Id, want.Etag, want.CreateTime, want.UpdateTime = made.GetId(), made.GetEtag(), made.GetCreateTime(), made.GetCreateTime()
	if diff := cmp.Diff(want, made, protocmp.Transform()); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	if made.GetId() == "usr_mine" || made.GetEtag() == "mine" || time.Since(made.GetCreateTime().AsTime()) > time.Hour {
		t.Error("id, etag or time are the caller's")
	}
	if c.Committed == nil || c.Committed.Seq != 1 || c.Committed.Epoch != 1 || c.Committed.Lane != entity.LaneOf(made.GetId()) {
		t.Errorf("the call's write is %+v", c.Committed)
	}
	got, err := w.users.Get(as(acme), made.GetId())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got, protocmp.Transform()); diff != "" {
		t.Errorf("read otherwise than created:\n%s", diff)
	}

	changed, err := w.update(as(acme), made.GetId(), made.GetEtag(), func(u *profilev1.User) {
		u.GivenName, u.Id, u.Etag, u.CreateTime, u.UpdateTime = "Augusta", "usr_other", "other", nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want = proto.CloneOf(made)
	want.GivenName, want.Etag, want.UpdateTime = "Augusta", changed.GetEtag(), changed.GetUpdateTime()
	if diff := cmp.Diff(want, changed, protocmp.Transform()); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if changed.GetEtag() == made.GetEtag() || changed.GetUpdateTime().AsTime().Before(made.GetUpdateTime().AsTime()) {
		t.Error("the etag or the time of change did not move on")
	}

	_, err = w.update(as(acme), made.GetId(), made.GetEtag(), func(*profilev1.User) {})
	wantReason(t, err, errorsv1.Reason_REASON_ETAG_MISMATCH)
	wantReason(t, w.remove(as(acme), made.GetId(), made.GetEtag()), errorsv1.Reason_REASON_ETAG_MISMATCH)
	if err := w.remove(as(acme), made.GetId(), changed.GetEtag()); err != nil {
		t.Fatal(err)
	}
	_, err = w.users.Get(as(acme), made.GetId())
	wantReason(t, err, errorsv1.Reason_REASON_NOT_FOUND)
	wantReason(t, w.remove(as(acme), made.GetId(), ""), errorsv1.Reason_REASON_NOT_FOUND)
	_, err = w.users.Lookup(as(acme), "email", "ada@example.org")
	wantReason(t, err, errorsv1.Reason_REASON_NOT_FOUND)

	rows := read(t, w.table, acme)
	rows.audit(t)
	if o := rows.outbox[c.Committed.Lane][3]; !o.GetDeleted() || o.GetId() != made.GetId() || o.GetEntity() != "domicile.profile.v1.User" {
		t.Errorf("the delete's outbox record is %v", o)
	}
}

func TestEtagsAreShortText(t *testing.T) {
	t.Parallel()
	made := memory(t).mustCreate(as(acme), user("ada"))
	if tag := made.GetEtag(); tag == "" || len(tag) > 64 || strings.ContainsAny(tag, "\"' ,\\") {
		t.Errorf("etag %q", tag)
	}
}

// What is another tenant's, and what never was, is missing in the same words.
func TestAnotherTenantsEntityIsMissing(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	_, foreign := w.users.Get(as(other), made.GetId())
	_, never := w.users.Get(as(acme), "usr_01h455vb4pex5vsknk084sn02q")
	if foreign == nil || never == nil || foreign.Error() != never.Error() {
		t.Errorf("%v\n%v", foreign, never)
	}
	wantReason(t, foreign, errorsv1.Reason_REASON_NOT_FOUND)
	_, err := w.update(as(other), made.GetId(), "", func(*profilev1.User) {})
	wantReason(t, err, errorsv1.Reason_REASON_NOT_FOUND)
	wantReason(t, w.remove(as(other), made.GetId(), ""), errorsv1.Reason_REASON_NOT_FOUND)
	_, err = entity.GetProjection[*profilev1.UserSummary](as(other), w.users, made.GetId())
	wantReason(t, err, errorsv1.Reason_REASON_NOT_FOUND)
	_, err = w.users.Lookup(as(other), "email", made.GetEmail())
	wantReason(t, err, errorsv1.Reason_REASON_NOT_FOUND)
	if n := len(read(t, w.table, other).items); n != 0 {
		t.Errorf("reading wrote %d rows", n)
	}
}

func TestIDsOfAnotherTypeAreRefused(t *testing.T) {
	t.Parallel()
	w := memory(t)
	for _, id := range []string{"", "canary", "org_01h455vb4pex5vsknk084sn02q", "usr_01H455VB4PEX5VSKNK084SN02Q", "usr_8zzzzzzzzzzzzzzzzzzzzzzzzz"} {
		_, get := w.users.Get(as(acme), id)
		_, summary := entity.GetProjection[*profilev1.UserSummary](as(acme), w.users, id)
		_, update := w.update(as(acme), id, "", func(*profilev1.User) {})
		for _, err := range []error{get, summary, update, w.remove(as(acme), id, "")} {
			f := wantFault(t, err, errorsv1.Reason_REASON_INVALID_ARGUMENT)
			if len(f.Violations) != 1 || f.Violations[0].Field != "id" || strings.Contains(f.Error()+f.Violations[0].Message, "canary") {
				t.Errorf("%q: %+v", id, f)
			}
		}
	}
}

func TestProjections(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	summary, err := entity.GetProjection[*profilev1.UserSummary](as(acme), w.users, made.GetId())
	if err != nil {
		t.Fatal(err)
	}
	want := &profilev1.UserSummary{
		Id: made.GetId(), Handle: made.GetHandle(), Locale: made.GetLocale(), Role: made.GetRole(), State: made.GetState(),
		CreateTime: made.GetCreateTime(), UpdateTime: made.GetUpdateTime(), Etag: made.GetEtag(),
	}
	if diff := cmp.Diff(want, summary, protocmp.Transform()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	record, err := entity.GetProjection[*profilev1.UserRecord](as(acme), w.users, made.GetId())
	if err != nil {
		t.Fatal(err)
	}
	if record.GetRegulatedNote() != made.GetRegulatedNote() || record.GetEtag() != made.GetEtag() || record.GetLocale() != made.GetLocale() {
		t.Errorf("record %v", record)
	}
	if _, err := entity.GetProjection[*profilev1.User](as(acme), w.users, made.GetId()); err == nil {
		t.Error("the entity itself was read as a projection")
	}
}

func TestWhatBreaksTheContractIsRefused(t *testing.T) {
	t.Parallel()
	w := memory(t)
	bad := user("ada")
	bad.Email = "canary"
	_, err := w.create(as(acme), bad)
	wantViolation(t, err, "email", "string.email")
	if _, err := w.create(as(acme), nil); err == nil {
		t.Error("nothing was created")
	}
	made := w.mustCreate(as(acme), user("ada"))
	_, err = entity.Update(as(acme), w.users, made.GetId(), entity.Change[*profilev1.User]{Field: "user", Apply: func(u *profilev1.User) error {
		return entity.ApplyMask(u, &profilev1.User{PostalAddress: &profilev1.PostalAddress{Country: "canary"}},
			&fieldmaskpb.FieldMask{Paths: []string{"postal_address.country"}})
	}}, itself)
	wantViolation(t, err, "user.postal_address.country", "string.pattern")
	_, err = w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.GivenName = "" })
	wantViolation(t, err, "given_name", "required")
	if got, _ := w.users.Get(as(acme), made.GetId()); got.GetEtag() != made.GetEtag() {
		t.Error("a refused change was stored")
	}
	stop := errors.New("stop")
	_, err = entity.Update(as(acme), w.users, made.GetId(),
		entity.Change[*profilev1.User]{Apply: func(*profilev1.User) error { return stop }}, itself)
	if !errors.Is(err, stop) {
		t.Errorf("the error of Apply became %v", err)
	}
}

func wantViolation(t *testing.T, err error, field, rule string) {
	t.Helper()
	f := wantFault(t, err, errorsv1.Reason_REASON_INVALID_ARGUMENT)
	if len(f.Violations) != 1 || f.Violations[0].Field != field || f.Violations[0].Rule != rule {
		t.Errorf("violations %+v, want %s of %s", f.Violations, rule, field)
	}
	if text := f.Error() + f.Violations[0].Message; strings.Contains(text, "canary") {
		t.Errorf("the error echoes what was sent: %s", text)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	_, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) {
		u.ProtoReflect().SetUnknown(unknownField(98, strings.Repeat("x", 160<<10)))
	})
	wantReason(t, err, errorsv1.Reason_REASON_TOO_LARGE)
	if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) {
		u.ProtoReflect().SetUnknown(unknownField(98, strings.Repeat("x", 158<<10)))
	}); err != nil {
		t.Errorf("an entity below the limit: %v", err)
	}
	// The answer is stored with the entity when there is a key, and has a limit too.
	ctx, _ := keyed(acme, "k", "r")
	_, err = entity.Delete(ctx, w.users, made.GetId(), "", func(*profilev1.User) *profilev1.ListUsersResponse {
		return &profilev1.ListUsersResponse{NextPageToken: strings.Repeat("x", store.MaxItemBytes)}
	})
	wantReason(t, err, errorsv1.Reason_REASON_TOO_LARGE)
	if _, err := w.users.Get(as(acme), made.GetId()); err != nil {
		t.Errorf("a refused delete took effect: %v", err)
	}
}

func TestCallsThatMayNotWrite(t *testing.T) {
	t.Parallel()
	w := memory(t)
	if _, err := w.create(t.Context(), user("ada")); err == nil {
		t.Error("written without a call")
	}
	_, err := w.create(as(""), user("ada"))
	wantReason(t, err, errorsv1.Reason_REASON_TENANT_UNKNOWN)
	ctx, c := callOf(acme)
	c.Home = "us-east-1"
	_, err = w.create(ctx, user("ada"))
	wantReason(t, err, errorsv1.Reason_REASON_MISROUTED)
	ctx, c = callOf(acme)
	c.Epoch = 0
	if _, err := w.create(ctx, user("ada")); err == nil {
		t.Error("written without an epoch")
	}
	ctx, _ = keyed(acme, "k", "r")
	w.mustCreate(ctx, user("ada"))
	if _, err := w.create(ctx, user("bob")); err == nil || fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
		t.Errorf("a second commit under one key: %v", err)
	}
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	ctx, c := callOf(acme)
	c.Epoch = 4
	changed, err := w.update(ctx, made.GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" })
	if err != nil {
		t.Fatal(err)
	}
	if c.Committed.Epoch != 4 || c.Committed.Seq != 2 {
		t.Errorf("the write is %+v", c.Committed)
	}
	// The lane has been opened under epoch 4: a call that was routed before that is fenced.
	_, err = w.update(as(acme), made.GetId(), changed.GetEtag(), func(u *profilev1.User) { u.Locale = "fr-FR" })
	wantReason(t, err, errorsv1.Reason_REASON_STALE_EPOCH)
	w.start(nil, entity.Tuning{}) // also by a process that has yet to read the counter
	_, err = w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Locale = "fr-FR" })
	wantReason(t, err, errorsv1.Reason_REASON_STALE_EPOCH)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	w := memory(t)
	if _, err := w.users.Lookup(as(acme), "email", "ada@example.org"); !fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("in a tenant without a key: %v", err)
	}
	made := w.mustCreate(as(acme), user("ada"))
	for _, value := range []string{"ada@example.org", " ADA@Example.org "} {
		got, err := w.users.Lookup(as(acme), "email", value)
		if err != nil || got.GetId() != made.GetId() || got.GetEtag() != made.GetEtag() {
			t.Errorf("%q: %v, %v", value, got, err)
		}
	}
	for _, field := range []string{"phone", "nothing", ""} {
		if _, err := w.users.Lookup(as(acme), field, "x"); err == nil || fault.ReasonOf(err) != 0 {
			t.Errorf("%q was looked up: %v", field, err)
		}
	}
	// A value is freed by a change, and by nothing less.
	twin := user("twin")
	twin.Email = "Ada@example.org"
	_, err := w.create(as(acme), twin)
	wantReason(t, err, errorsv1.Reason_REASON_ALREADY_EXISTS)
	if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Email = "ADA@example.org" }); err != nil {
		t.Errorf("the same address in other letters: %v", err)
	}
	if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Email = "countess@example.org" }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.Lookup(as(acme), "email", "ada@example.org"); !fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("the former address: %v", err)
	}
	second := w.mustCreate(as(acme), twin)
	_, err = w.update(as(acme), second.GetId(), "", func(u *profilev1.User) { u.Email = "countess@example.org" })
	wantReason(t, err, errorsv1.Reason_REASON_ALREADY_EXISTS)
	w.mustCreate(as(other), user("ada")) // unique within a tenant only
	read(t, w.table, acme).audit(t)
}
