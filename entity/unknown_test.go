package entity_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/store"
)

func unknownField(number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// A newer release has written fields that this one does not know, GLOBAL ones in the clear and others sealed. A change by this
// release keeps all of them, sealed, and shows none.
func TestAnOlderReleaseKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) {
		u.ProtoReflect().SetUnknown(unknownField(98, "canary-sealed"))
		u.GetPostalAddress().ProtoReflect().SetUnknown(unknownField(97, "canary-nested"))
	}); err != nil {
		t.Fatal(err)
	}
	w.rewrite(made.GetId(), func(e *storagev1.Entity) { e.Clear = append(e.Clear, unknownField(99, "new-global")...) })

	for range 3 { // however often
		changed, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Locale = "en-GB" })
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.users.Get(as(acme), made.GetId())
		if err != nil {
			t.Fatal(err)
		}
		summary, err := entity.GetProjection[*profilev1.UserSummary](as(acme), w.users, made.GetId())
		if err != nil {
			t.Fatal(err)
		}
		record, err := entity.GetProjection[*profilev1.UserRecord](as(acme), w.users, made.GetId())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []proto.Message{changed, got, got.GetPostalAddress(), summary, record} {
			if raw, _ := proto.Marshal(m); bytes.Contains(raw, []byte("canary")) || bytes.Contains(raw, []byte("new-global")) {
				t.Errorf("%T shows a field that this release does not know", m)
			}
		}
		for _, item := range read(t, w.table, acme).items {
			if bytes.Contains(item.Value, []byte("canary")) || bytes.Contains(item.Value, []byte("new-global")) {
				t.Errorf("%q holds an unknown field in the clear", item.Key)
			}
		}
	}

	var top, nested string
	if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) {
		top, nested = string(u.ProtoReflect().GetUnknown()), string(u.GetPostalAddress().ProtoReflect().GetUnknown())
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(top, "canary-sealed") || !strings.Contains(top, "new-global") || !strings.Contains(nested, "canary-nested") {
		t.Errorf("what the newer release wrote is lost: %q, %q", top, nested)
	}
}

// A newer release indexes a field that this one does not. Its lookup items live and die with the entity all the same.
func TestAnOlderReleaseKeepsLookupsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	foreign := &storagev1.Lookup{Field: 5, Hash: bytes.Repeat([]byte{7}, 32)}
	w.rewrite(made.GetId(), func(e *storagev1.Entity) { e.Lookups = append(e.Lookups, foreign) })
	target, err := proto.Marshal(&storagev1.LookupTarget{Id: made.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: store.Item{
		Key: entity.LookupKey(acme, "usr", foreign), Tag: store.Tag{Tenant: acme, Class: store.ClassPII}, Value: target,
	}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.update(as(acme), made.GetId(), "", func(u *profilev1.User) { u.Email = "new@example.org" }); err != nil {
		t.Fatal(err)
	}
	rows := read(t, w.table, acme)
	rows.auditLookups(t)
	if len(rows.lookups) != 2 {
		t.Errorf("%d lookup items after a change", len(rows.lookups))
	}
	if err := w.remove(as(acme), made.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, w.table, acme).lookups); n != 0 {
		t.Errorf("%d lookup items outlive their entity", n)
	}
}

// rewrite changes the stored form of an entity behind the engine's back, without a new version.
func (w *world) rewrite(id string, change func(*storagev1.Entity)) {
	w.tb.Helper()
	item, err := w.table.Get(w.tb.Context(), entity.EntityKey(acme, id))
	if err != nil {
		w.tb.Fatal(err)
	}
	stored := &storagev1.Entity{}
	if err := proto.Unmarshal(item.Value, stored); err != nil {
		w.tb.Fatal(err)
	}
	change(stored)
	if item.Value, err = proto.Marshal(stored); err != nil {
		w.tb.Fatal(err)
	}
	if err := w.table.Commit(w.tb.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: item}}}); err != nil {
		w.tb.Fatal(err)
	}
}
