package settings_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/domicile-api/domicile"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/gen/domicile/settings/v1/settingsv1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/ident"
	kept "github.com/domicile-api/domicile/internal/settings"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/services/settings"
)

// region is a region's client, and its settings for who plays the relay.
type region struct {
	settingsv1connect.SettingsServiceClient

	id   ident.RegionID
	kept *kept.Settings
}

func newRegion(t *testing.T, id, other ident.RegionID) region {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	k, err := kept.New(kept.Config{
		Store: db.Table("settings"), Region: id, Jurisdiction: "EU", Clock: time.Now, Rand: rand.Reader,
		Others: func(ident.TenantID) []ident.RegionID { return []ident.RegionID{other} },
	})
	if err != nil {
		t.Fatal(err)
	}
	path, handler, err := settings.Service(k).Register(domicile.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call.Call{Procedure: r.URL.Path, Tenant: "acme-eu", Region: id}
		handler.ServeHTTP(w, r.WithContext(call.With(r.Context(), c)))
	}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return region{settingsv1connect.NewSettingsServiceClient(server.Client(), server.URL), id, k}
}

// tell brings all that a region has written to another.
func tell(t *testing.T, from, to region) {
	t.Helper()
	positions, _, err := from.kept.Outbox(t.Context(), "acme-eu", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range positions {
		state, err := from.kept.Tell(t.Context(), "acme-eu", p.Namespace)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := to.kept.ApplyRemote(t.Context(), "acme-eu", from.id, p.Seq, p.Namespace, state); out != kept.Applied || err != nil {
			t.Fatal(out, err)
		}
	}
}

func setText(key, text string) *settingsv1.Operation {
	return &settingsv1.Operation{Key: key, Kind: &settingsv1.Operation_Set{
		Set: &settingsv1.Value{Kind: &settingsv1.Value_StringValue{StringValue: text}},
	}}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	here, there := newRegion(t, "eu-central-1", "ap-southeast-1"), newRegion(t, "ap-southeast-1", "eu-central-1")
	updated, err := here.UpdateSettings(t.Context(), &settingsv1.UpdateSettingsRequest{
		Namespace: "ui", Operations: []*settingsv1.Operation{setText("theme", "dark"), {
			Key: "visits", Kind: &settingsv1.Operation_Increment{Increment: 2},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	two := int64(2)
	want := &settingsv1.Settings{Namespace: "ui", Entries: map[string]*settingsv1.Entry{
		"theme": {Value: setText("", "dark").GetSet()}, "visits": {Count: &two},
	}}
	if diff := cmp.Diff(want, updated.GetSettings(), protocmp.Transform()); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
	if _, err := there.UpdateSettings(t.Context(), &settingsv1.UpdateSettingsRequest{
		Namespace: "ui", Operations: []*settingsv1.Operation{setText("theme", "light")},
	}); err != nil {
		t.Fatal(err)
	}
	tell(t, here, there)
	tell(t, there, here)
	var shown []*settingsv1.Settings
	for _, r := range []region{here, there} {
		got, err := r.GetSettings(t.Context(), &settingsv1.GetSettingsRequest{Namespace: "ui"})
		if err != nil {
			t.Fatal(err)
		}
		listed, err := r.ListSettings(t.Context(), &settingsv1.ListSettingsRequest{})
		if err != nil || listed.GetNextPageToken() != "" {
			t.Fatal(listed, err)
		}
		shown = append(append(shown, got.GetSettings()), listed.GetSettings()...)
		conflicts, err := r.ListConflicts(t.Context(), &settingsv1.ListConflictsRequest{Namespace: "ui"})
		if err != nil || len(conflicts.GetConflicts()) != 1 || conflicts.GetConflicts()[0].GetKept().GetRegion() != "ap-southeast-1" {
			t.Errorf("%s: %v, %v", r.id, conflicts, err)
		}
	}
	for _, s := range shown {
		if diff := cmp.Diff(shown[0], s, protocmp.Transform()); diff != "" || len(shown) != 4 {
			t.Errorf("the regions differ:\n%s", diff)
		}
	}
}

func TestMasksAndRefusals(t *testing.T) {
	t.Parallel()
	r, ctx := newRegion(t, "eu-central-1", "eu-west-1"), t.Context()
	mask := func(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
	updated, err := r.UpdateSettings(ctx, &settingsv1.UpdateSettingsRequest{
		Namespace: "ui", Operations: []*settingsv1.Operation{setText("a", "1"), setText("b", "2")}, ReadMask: mask("namespace"),
	})
	if err != nil || updated.GetSettings().GetNamespace() != "ui" || updated.GetSettings().GetEntries() != nil {
		t.Errorf("%v, %v", updated, err)
	}
	got, err := r.GetSettings(ctx, &settingsv1.GetSettingsRequest{Namespace: "ui", Keys: []string{"b"}, ReadMask: mask("entries")})
	if err != nil || got.GetSettings().GetNamespace() != "" || len(got.GetSettings().GetEntries()) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	listed, err := r.ListSettings(ctx, &settingsv1.ListSettingsRequest{ReadMask: mask("*"), PageSize: 1})
	if err != nil || len(listed.GetSettings()) != 1 || len(listed.GetSettings()[0].GetEntries()) != 2 {
		t.Errorf("%v, %v", listed, err)
	}
	refused := map[string]func() error{
		"get": func() error {
			_, err := r.GetSettings(ctx, &settingsv1.GetSettingsRequest{Namespace: "ui", ReadMask: mask("etag")})
			return err
		},
		"list": func() error {
			_, err := r.ListSettings(ctx, &settingsv1.ListSettingsRequest{ReadMask: mask("etag")})
			return err
		},
		"update": func() error {
			_, err := r.UpdateSettings(ctx, &settingsv1.UpdateSettingsRequest{
				Namespace: "never", Operations: []*settingsv1.Operation{setText("a", "1")}, ReadMask: mask("etag"),
			})
			return err
		},
		"nothing there": func() error {
			_, err := r.GetSettings(ctx, &settingsv1.GetSettingsRequest{Namespace: "never"})
			return err
		},
		"no conflicts there": func() error {
			_, err := r.ListConflicts(ctx, &settingsv1.ListConflictsRequest{Namespace: "never"})
			return err
		},
		"page token": func() error {
			_, err := r.ListSettings(ctx, &settingsv1.ListSettingsRequest{PageToken: "!"})
			return err
		},
	}
	for name, call := range refused {
		if err := call(); connect.CodeOf(err) != connect.CodeUnknown { // The platform's interceptor, which is not here, gives it a code.
			t.Errorf("%s: %v", name, err)
		}
	}
}
