package profile_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/services/profile"
)

// newClient returns a client of the service of one region; every call is one of the tenant that its header names.
func newClient(t *testing.T) profilev1connect.ProfileServiceClient {
	t.Helper()
	const region = ident.RegionID("eu-central-1")
	db, err := pebblestore.OpenMemory(pebblestore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	wrapper, err := local.Open(t.TempDir(), region)
	if err != nil {
		t.Fatal(err)
	}
	ring := seal.NewKeyring(seal.KeyringConfig{Region: region, Jurisdiction: "EU", Keys: db.Table("keys"), Wrapper: wrapper, Clock: time.Now})
	engine, err := entity.NewEngine(entity.Config{
		Store: db.Table("regional"), Sealer: ring, Pages: pageKeys{}, Region: region, Jurisdiction: "EU", Clock: time.Now, Rand: rand.Reader,
		EnsureKey: func(ctx context.Context, tenant ident.TenantID) error {
			return ring.Provision(ctx, tenant, call.From(ctx).Epoch, []ident.RegionID{region})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	path, handler, err := profile.Service().Register(domicile.Runtime{Entities: engine})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call.Call{Procedure: r.URL.Path, Tenant: "acme-eu", Epoch: 1, Home: region, Jurisdiction: "EU", Region: region}
		handler.ServeHTTP(w, r.WithContext(call.With(r.Context(), c)))
	}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return profilev1connect.NewProfileServiceClient(server.Client(), server.URL)
}

func TestUsers(t *testing.T) {
	t.Parallel()
	client, ctx := newClient(t), t.Context()
	given := &profilev1.User{GivenName: "Ada", FamilyName: "Byron", Email: "ada@example.org", Locale: "en-GB", RegulatedNote: "note"}
	created, err := client.CreateUser(ctx, &profilev1.CreateUserRequest{User: given})
	if err != nil {
		t.Fatal(err)
	}
	user := created.GetUser()
	if user.GetRole() != profilev1.Role_ROLE_MEMBER || user.GetState() != profilev1.UserState_USER_STATE_ACTIVE || user.GetId() == "" {
		t.Errorf("created %v", user)
	}
	got, err := client.GetUser(ctx, &profilev1.GetUserRequest{Id: user.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	looked, err := client.LookupUser(ctx, &profilev1.LookupUserRequest{Email: "ADA@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := client.ListUsers(ctx, &profilev1.ListUsersRequest{})
	if err != nil || len(listed.GetUsers()) != 1 {
		t.Fatalf("%v, %v", listed, err)
	}
	for name, same := range map[string]*profilev1.User{"get": got.GetUser(), "lookup": looked.GetUser(), "list": listed.GetUsers()[0]} {
		if diff := cmp.Diff(user, same, protocmp.Transform()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}

	updated, err := client.UpdateUser(ctx, &profilev1.UpdateUserRequest{
		Id: user.GetId(), User: &profilev1.User{FamilyName: "Lovelace", Etag: user.GetEtag()},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"family_name", "role"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if u := updated.GetUser(); u.GetFamilyName() != "Lovelace" || u.GetGivenName() != "Ada" || u.GetRole() != profilev1.Role_ROLE_MEMBER {
		t.Errorf("updated %v", u)
	}
	if _, err := client.UpdateUser(ctx, &profilev1.UpdateUserRequest{
		Id: user.GetId(), User: &profilev1.User{FamilyName: "King", Etag: user.GetEtag()},
	}); err == nil {
		t.Error("updated with the etag of an earlier version")
	}
	if _, err := client.DeleteUser(ctx, &profilev1.DeleteUserRequest{Id: user.GetId(), Etag: user.GetEtag()}); err == nil {
		t.Error("deleted with the etag of an earlier version")
	}
	if _, err := client.DeleteUser(ctx, &profilev1.DeleteUserRequest{Id: user.GetId(), Etag: updated.GetUser().GetEtag()}); err != nil {
		t.Error(err)
	}
	if _, err := client.GetUser(ctx, &profilev1.GetUserRequest{Id: user.GetId()}); err == nil {
		t.Error("a deleted user is there")
	}
}

func TestProjections(t *testing.T) {
	t.Parallel()
	client, ctx := newClient(t), t.Context()
	created, err := client.CreateUser(ctx, &profilev1.CreateUserRequest{User: &profilev1.User{
		GivenName: "Ada", FamilyName: "Byron", Email: "ada@example.org", Locale: "en-GB", RegulatedNote: "note", Handle: "ada",
	}})
	if err != nil {
		t.Fatal(err)
	}
	user := created.GetUser()
	want := &profilev1.UserSummary{
		Id: user.GetId(), Handle: "ada", Locale: "en-GB", Role: profilev1.Role_ROLE_MEMBER, State: profilev1.UserState_USER_STATE_ACTIVE,
		CreateTime: user.GetCreateTime(), UpdateTime: user.GetUpdateTime(), Etag: user.GetEtag(),
	}
	summary, err := client.GetUserSummary(ctx, &profilev1.GetUserSummaryRequest{Id: user.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	summaries, err := client.ListUserSummaries(ctx, &profilev1.ListUserSummariesRequest{})
	if err != nil || len(summaries.GetSummaries()) != 1 {
		t.Fatalf("%v, %v", summaries, err)
	}
	for _, got := range []*profilev1.UserSummary{summary.GetSummary(), summaries.GetSummaries()[0]} {
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("summary (-want +got):\n%s", diff)
		}
	}
	record, err := client.GetUserRecord(ctx, &profilev1.GetUserRecordRequest{Id: user.GetId()})
	if err != nil || record.GetRecord().GetRegulatedNote() != "note" || record.GetRecord().GetEtag() != user.GetEtag() {
		t.Errorf("record %v, %v", record, err)
	}
}

func TestErrorsOfTheDomainPass(t *testing.T) {
	t.Parallel()
	client, ctx := newClient(t), t.Context()
	if _, err := client.GetUser(ctx, &profilev1.GetUserRequest{Id: "usr_01h455vb4pex5vsknk084sn02q"}); err == nil {
		t.Error("a user who was never there")
	}
	if _, err := client.LookupUser(ctx, &profilev1.LookupUserRequest{Email: "ada@example.org"}); connect.CodeOf(err) == 0 {
		t.Error("an address that nobody has")
	}
	if _, err := client.ListUsers(ctx, &profilev1.ListUsersRequest{PageToken: "forged"}); err == nil {
		t.Error("a forged token")
	}
	if _, err := client.ListUserSummaries(ctx, &profilev1.ListUserSummariesRequest{PageToken: "forged"}); err == nil {
		t.Error("a forged token")
	}
}

// pageKeys is one key that never changes.
type pageKeys struct{}

func (pageKeys) MAC(purpose string, data []byte) (uint32, [16]byte, error) {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	_, _ = mac.Write([]byte(purpose))
	_, _ = mac.Write(data)
	return 1, [16]byte(mac.Sum(nil)), nil
}

func (k pageKeys) Check(purpose string, data []byte, keyID uint32, mac [16]byte) bool {
	_, want, _ := k.MAC(purpose, data)
	return keyID == 1 && hmac.Equal(want[:], mac[:])
}
