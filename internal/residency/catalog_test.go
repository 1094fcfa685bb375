package residency_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/internal/testpb"
)

const userName = "domicile.profile.v1.User"

func catalog(t rapid.TB) *residency.Catalog {
	t.Helper()
	c, err := residency.NewCatalog(
		(&profilev1.User{}).ProtoReflect().Descriptor(), (&testpb.Account{}).ProtoReflect().Descriptor(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalogProjects(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	user := &profilev1.User{Id: "usr_1", GivenName: "Ada", Handle: "ada", RegulatedNote: "kept"}
	global, law, none := policyv1.Scope_SCOPE_GLOBAL, policyv1.Scope_SCOPE_JURISDICTION, policyv1.Scope_SCOPE_UNSPECIFIED
	tests := map[string]struct {
		entity   string
		granted  policyv1.Scope
		scope    policyv1.Scope
		regional proto.Message
	}{
		"GLOBAL":                    {userName, global, global, nil},
		"JURISDICTION":              {userName, law, law, &profilev1.UserRecord{RegulatedNote: "kept"}},
		"nothing granted":           {userName, none, none, nil},
		"an entity that it has not": {"other.User", law, none, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ok, err := c.Project(test.entity, test.granted, user)
			if err != nil || ok != (test.scope != none) || p.Scope != test.scope || (len(p.Regional) > 0) != (test.regional != nil) {
				t.Fatalf("got %v, %v, %v", p, ok, err)
			}
			if !ok {
				return
			}
			var open, regional profilev1.UserRecord
			if err := errors.Join(proto.Unmarshal(p.Clear, &open), proto.Unmarshal(p.Regional, &regional)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&profilev1.UserRecord{Id: "usr_1", Handle: "ada"}, &open, protocmp.Transform()); diff != "" {
				t.Errorf("clear (-want +got):\n%s", diff)
			}
			if test.regional != nil {
				if diff := cmp.Diff(test.regional, &regional, protocmp.Transform()); diff != "" {
					t.Errorf("regional (-want +got):\n%s", diff)
				}
			}
			if err := c.Classes().CheckClear(test.entity, p.Clear); err != nil {
				t.Errorf("its own table refuses it: %v", err)
			}
		})
	}
	if p, _, _ := c.Project("domicile.residency.test.v1.Account", law, &testpb.Account{Id: "acc_1", Note: "n"}); p.Scope != global {
		t.Errorf("an entity without a projection of scope JURISDICTION is projected to %v", p.Scope)
	}
}

func TestCheckClear(t *testing.T) {
	t.Parallel()
	c := catalog(t).Classes()
	marshal := func(m proto.Message) []byte {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tests := map[string]struct {
		entity string
		clear  []byte
		want   error
	}{
		"empty":                    {userName, nil, nil},
		"GLOBAL fields":            {userName, marshal(&profilev1.User{Id: "usr_1", Handle: "ada"}), nil},
		"PII":                      {userName, marshal(&profilev1.User{Id: "usr_1", GivenName: "Ada"}), residency.ErrNotGlobal},
		"REGIONAL":                 {userName, marshal(&profilev1.User{RegulatedNote: "n"}), residency.ErrNotGlobal},
		"an unknown field":         {userName, []byte{0xf8, 0x7f, 1}, residency.ErrNotGlobal},
		"an unknown field in time": {userName, []byte{14<<3 | 2, 3, 0x78, 1, 0}, residency.ErrNotGlobal},
		"not a message":            {userName, []byte{0xff}, residency.ErrNotGlobal},
		"an unknown type":          {"other.User", nil, residency.ErrNoSuchMessage},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.CheckClear(test.entity, test.clear); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	known := marshal(&profilev1.User{Id: "usr_1", Handle: "ada"})
	kept, dropped, err := c.Keep(userName, append(append([]byte(nil), known...), 0xf8, 0x7f, 1))
	if err != nil || !dropped || string(kept) != string(known) {
		t.Errorf("keeping: %x, %v, %v", kept, dropped, err)
	}
	if _, _, err := c.Keep(userName, marshal(&profilev1.User{GivenName: "Ada"})); !errors.Is(err, residency.ErrNotGlobal) {
		t.Errorf("keeping personal data: %v", err)
	}
}

// The walk over serialized bytes says the same as reflection over messages: what Split leaves in the open passes, and
// nothing passes that Split would seal.
func TestCheckClearAgreesWithSplit(t *testing.T) {
	t.Parallel()
	md := (&testpb.Shapes{}).ProtoReflect().Descriptor()
	table, err := residency.TableOf(md)
	if err != nil {
		t.Fatal(err)
	}
	classes, err := residency.NewClasses(table)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &testpb.Shapes{
			Tags: rapid.SliceOf(rapid.String()).Draw(t, "tags"), Names: rapid.SliceOfN(rapid.String(), 0, 1).Draw(t, "names"),
			PartByKey: map[string]*testpb.Part{"k": {Label: rapid.String().Draw(t, "label"), Person: rapid.StringN(0, 1, 4).Draw(t, "person")}},
			Parts:     []*testpb.Part{{Child: &testpb.Part{Matter: rapid.StringN(0, 1, 4).Draw(t, "matter")}}},
		}
		open, guarded := residency.Split(m)
		for part, want := range map[proto.Message]bool{open: true, m: proto.Size(guarded) == 0} {
			raw, err := proto.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			if err := classes.CheckClear(string(md.FullName()), raw); (err == nil) != want {
				t.Fatalf("%v: %v", part, err)
			}
		}
	})
}

func TestNewClassesRefusesAnotherTable(t *testing.T) {
	t.Parallel()
	table := proto.CloneOf(catalog(t).Table())
	table.GetMessages()[0].GetFields()[0].Class = policyv1.DataClass_DATA_CLASS_PII
	if _, err := residency.NewClasses(table); !errors.Is(err, residency.ErrTable) {
		t.Errorf("got %v, want ErrTable", err)
	}
}

func BenchmarkCatalogProject(b *testing.B) {
	c, err := residency.NewCatalog((&testpb.Account{}).ProtoReflect().Descriptor())
	if err != nil {
		b.Fatal(err)
	}
	account := &testpb.Account{Id: "acc_1", Handle: "h", Locale: "de", TimeZone: "Europe/Berlin", Level: 3, Quota: 9, Active: true, Color: "#1", Plan: "p"}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := c.Project("domicile.residency.test.v1.Account", policyv1.Scope_SCOPE_GLOBAL, account); err != nil || !ok {
			b.Fatal(err)
		}
	}
}
