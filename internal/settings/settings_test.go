package settings_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	gotesting "testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/settings"
	"github.com/domicile-api/domicile/internal/store"
)

// must is update that has to succeed.
func must(t *gotesting.T, r *region, key, name string, operations ...*settingsv1.Operation) *settingsv1.Settings {
	t.Helper()
	after, _, err := update(r, key, name, operations...)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

func TestUpdate(t *gotesting.T) {
	t.Parallel()
	r := newWorld(t, 1).regions[0]
	must(t, r, "", "one", set("v", 1), raise(5), increment("c", 2), add("s", "b"), add("s", "a"), add("s", "x"))
	got := must(t, r, "", "one", set("v", 7), raise(3), increment("c", -5), remove("x"), set("gone", 1), drop("gone"))
	five, minus := int64(5), int64(-3)
	want := &settingsv1.Settings{Namespace: "one", Entries: map[string]*settingsv1.Entry{
		"v": {Value: set("", 7).GetSet()}, "m": {Maximum: &five}, "c": {Count: &minus}, "s": {Members: []string{"a", "b"}},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("answered (-want +got):\n%s", diff)
	}
	ctx, c := callOf("", "")
	read, err := r.kept.Get(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read, protocmp.Transform()); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if c.Seen.Origins["r0"] != 2 {
		t.Errorf("a read of the second write has seen %v", c.Seen)
	}
	if some, err := r.kept.Get(ctx, "one", "m", "nothing"); err != nil || len(some.GetEntries()) != 1 {
		t.Errorf("some keys: %v, %v", some, err)
	}
	must(t, r, "", "one", drop("v"), drop("m"), drop("c"), remove("a"), remove("b"))
	if _, err := r.kept.Get(ctx, "one"); !fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("a namespace without entries: %v", err)
	}
}

func TestRefusals(t *gotesting.T) {
	t.Parallel()
	r := newWorld(t, 1).regions[0]
	must(t, r, "used", "one", set("v", 1), add("s", "a"))
	big := strings.Repeat("x", 4096)
	fill := make([]*settingsv1.Operation, 26)
	for i := range fill {
		fill[i] = add(fmt.Sprint("f", i), big)
	}
	for name, test := range map[string]struct {
		key, namespace string
		operations     []*settingsv1.Operation
		want           errorsv1.Reason
	}{
		"another kind":        {"", "one", []*settingsv1.Operation{set("w", 1), increment("v", 1)}, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"a set is no value":   {"", "one", []*settingsv1.Operation{set("s", 1)}, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"no operation":        {"", "one", []*settingsv1.Operation{{Key: "v"}}, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"name":                {"", "One", []*settingsv1.Operation{set("v", 1)}, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"no name":             {"", "", []*settingsv1.Operation{set("v", 1)}, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"a long name":         {"", strings.Repeat("a", 65), []*settingsv1.Operation{set("v", 1)}, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"too large":           {"", "big", fill, errorsv1.Reason_REASON_TOO_LARGE},
		"a key of other call": {"used", "one", []*settingsv1.Operation{set("v", 1)}, errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH},
	} {
		if _, _, err := update(r, test.key, test.namespace, test.operations...); !fault.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, _ := r.kept.Reached(t.Context(), tenant); got["r0"] != 1 {
		t.Errorf("what was refused has a position: %v", got)
	}
	// What makes a namespace smaller passes, also where it is too large because others wrote to it at the same time.
	must(t, r, "", "big", fill[:24]...)
	must(t, r, "", "big", drop("f0"))
	if _, _, err := update(r, "", "none", set("v", 1)); err != nil {
		t.Error(err)
	}
	if _, err := settings.Update(context.Background(), r.kept, "one", nil, func(*settingsv1.Settings) *settingsv1.Settings { return nil }); err == nil {
		t.Error("an update without a call")
	}
}

func TestRepetitionGetsTheFirstAnswer(t *gotesting.T) {
	t.Parallel()
	r := newWorld(t, 1).regions[0]
	must(t, r, "k", "one", increment("c", 1))
	must(t, r, "", "one", increment("c", 10))
	again, c, err := update(r, "k", "one", increment("c", 1))
	if err != nil || again.GetEntries()["c"].GetCount() != 1 || !c.Replayed || c.Seen.Origins["r0"] != 1 {
		t.Errorf("%v, %+v, %v", again, c, err)
	}
	for key, item := range r.table.items {
		if item.Tag != (store.Tag{Tenant: tenant, Class: store.ClassGlobal, Jurisdiction: "EU"}) {
			t.Errorf("%q is tagged %+v", key, item.Tag)
		}
	}
}

// A store that never answers leaves the outcome open, and says so.
func TestOutcomeUnknown(t *gotesting.T) {
	t.Parallel()
	r := newWorld(t, 1).regions[0]
	r.table.lose = func() (before, after bool) { return true, false }
	if _, _, err := update(r, "k", "one", set("v", 1)); !fault.Is(err, errorsv1.Reason_REASON_OUTCOME_UNKNOWN) {
		t.Error(err)
	}
}

func TestList(t *gotesting.T) {
	t.Parallel()
	r := newWorld(t, 1).regions[0]
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("n-%02d", i)
		must(t, r, "", name, set("v", int64(i)))
		if i%5 == 0 {
			must(t, r, "", name, drop("v"))
			continue
		}
		want = append(want, name)
	}
	var got []string
	for token, pages := "", 0; ; pages++ {
		ctx, c := callOf("", "")
		page, next, err := r.kept.List(ctx, 7, token)
		if err != nil || len(page) > 7 || pages > 3 {
			t.Fatal(page, err)
		}
		if c.Seen.Origins["r0"] != 30 {
			t.Errorf("a list has seen %v", c.Seen)
		}
		for _, s := range page {
			got = append(got, s.GetNamespace())
		}
		if token = next; token == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	ctx, _ := callOf("", "")
	for _, token := range []string{"!", "Zg==", "QQ"} {
		if _, _, err := r.kept.List(ctx, 7, token); !fault.Is(err, errorsv1.Reason_REASON_TOKEN_INVALID) {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func TestConflicts(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 2)
	must(t, w.regions[0], "", "one", set("v", 1))
	w.now = w.now.Add(time.Second)
	must(t, w.regions[1], "", "one", set("v", 2))
	w.settle()
	for _, r := range w.regions {
		ctx, _ := callOf("", "")
		got, err := r.kept.Conflicts(ctx, "one")
		if err != nil || len(got) != 1 || got[0].GetKept().GetRegion() != "r1" || got[0].GetOverridden()[0].GetEntry().GetValue().GetIntValue() != 1 {
			t.Errorf("%s: %v, %v", r.id, got, err)
		}
	}
	must(t, w.regions[0], "", "one", set("v", 3))
	w.settle()
	ctx, _ := callOf("", "")
	if got, err := w.regions[1].kept.Conflicts(ctx, "one"); err != nil || len(got) != 0 {
		t.Errorf("after a later write: %v, %v", got, err)
	}
}

// What is deleted everywhere leaves nothing behind, and stays deleted when an old copy of it comes late.
func TestForgottenNamespacesStayForgotten(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 3)
	must(t, w.regions[0], "", "one", add("s", "a"))
	w.send(w.regions[0], 10)
	late := w.flying[0]
	w.settle()
	must(t, w.regions[1], "", "one", drop("s"))
	w.settle()
	for _, r := range w.regions {
		if _, there := r.table.items[keyspace.Namespace(tenant, "one")]; there {
			t.Errorf("%s keeps an empty namespace", r.id)
		}
	}
	w.flying = append(w.flying, late)
	w.settle()
	if got := w.equal("one"); len(got) != 0 {
		t.Errorf("it has risen: %v", got)
	}
	must(t, w.regions[2], "", "one", add("s", "b"))
	w.flying = append(w.flying, late)
	w.settle()
	if got := w.equal("one")["s"].GetMembers(); len(got) != 1 {
		t.Errorf("it has risen: %v", got)
	}
}

func TestApplyRemoteRefuses(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 2)
	r := w.regions[0]
	must(t, w.regions[1], "", "one", add("s", "a"))
	state, err := w.regions[1].kept.Tell(t.Context(), tenant, "one")
	if err != nil {
		t.Fatal(err)
	}
	spoiled := proto.CloneOf(state)
	spoiled.Seen = nil
	for name, apply := range map[string]func() (settings.Outcome, error){
		"no tenant": func() (settings.Outcome, error) { return r.kept.ApplyRemote(t.Context(), "", "r1", 1, "one", state) },
		"itself": func() (settings.Outcome, error) {
			return r.kept.ApplyRemote(t.Context(), tenant, "r0", 1, "one", state)
		},
		"bad name": func() (settings.Outcome, error) {
			return r.kept.ApplyRemote(t.Context(), tenant, "r1", 1, "../x", state)
		},
		"bad state": func() (settings.Outcome, error) {
			return r.kept.ApplyRemote(t.Context(), tenant, "r1", 1, "one", spoiled)
		},
		"raise self": func() (settings.Outcome, error) { return 0, r.kept.Raise(t.Context(), tenant, "r0", 1) },
	} {
		if _, err := apply(); !errors.Is(err, settings.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := proto.CloneOf(state)
	newer.GetEntries()["s"].ProtoReflect().SetUnknown([]byte{0x9a, 0x06, 0x01, 0x61})
	if _, err := r.kept.ApplyRemote(t.Context(), tenant, "r1", 0, "one", newer); !errors.Is(err, settings.ErrLater) {
		t.Errorf("a repair with fields of a newer release: %v", err)
	}
	if out, err := r.kept.ApplyRemote(t.Context(), tenant, "r1", 1, "one", newer); out != settings.Parked || err != nil {
		t.Errorf("fields of a newer release: %v, %v", out, err)
	}
	if reached, _ := r.kept.Reached(t.Context(), tenant); reached["r1"] != 0 {
		t.Errorf("the watermark is ahead of the data: %v", reached)
	}
	if report := w.maintain(r); report.Waiting != 1 {
		t.Errorf("%+v", report)
	}
	for _, want := range []int{2, 2} { // once, and repeated
		if out, err := r.kept.ApplyRemote(t.Context(), tenant, "r1", 2, "one", state); out != settings.Applied || err != nil {
			t.Fatal(out, err)
		}
		if item := r.table.items[keyspace.SettingsWatermark(tenant, "r1")]; item.Version.Seq != 0 || len(item.Value) == 0 || want != 2 {
			t.Errorf("a gap: %+v", item)
		}
	}
	if _, err := r.kept.ApplyRemote(t.Context(), tenant, "r1", 1, "one", state); err != nil {
		t.Fatal(err)
	}
	if reached, _ := r.kept.Reached(t.Context(), tenant); reached["r1"] != 2 {
		t.Errorf("the gap is closed: %v", reached)
	}
}

func TestOpenAndRaise(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 2)
	a, b := w.regions[0], w.regions[1]
	for i := range 5 {
		must(t, a, "", fmt.Sprint("n", i), set("v", int64(i)))
	}
	behind := func() (bool, ident.Seq) {
		w, err := b.kept.Watermark(t.Context(), tenant, "r0")
		if err != nil {
			t.Fatal(err)
		}
		reached, _ := b.kept.Reached(t.Context(), tenant)
		return w.GetBehind(), reached["r0"]
	}
	if err := b.kept.Open(t.Context(), tenant, "r0", 3); err != nil {
		t.Fatal(err)
	}
	if late, reached := behind(); !late || reached != 0 {
		t.Errorf("opened at 3: behind %v, reached %d", late, reached)
	}
	through, err := a.kept.All(t.Context(), tenant, func(name string, state *settingsv1.State) error {
		_, err := b.kept.ApplyRemote(t.Context(), tenant, "r0", 0, name, state)
		return err
	})
	if err != nil || through != 5 {
		t.Fatal(through, err)
	}
	for range 2 {
		if err := b.kept.Raise(t.Context(), tenant, "r0", through); err != nil {
			t.Fatal(err)
		}
		if err := b.kept.Open(t.Context(), tenant, "r0", 4); err != nil {
			t.Fatal(err)
		}
	}
	if late, reached := behind(); late || reached != 5 {
		t.Errorf("repaired: behind %v, reached %d", late, reached)
	}
	a.cursor = 5
	if err := a.kept.Prune(t.Context(), tenant, 4); err != nil {
		t.Fatal(err)
	}
	if left, more, err := a.kept.Outbox(t.Context(), tenant, 0, 10); err != nil || more || len(left) != 1 || left[0].Seq != 5 || left[0].Namespace != "n4" {
		t.Errorf("after pruning: %v, %v, %v", left, more, err)
	}
	w.settle()
	w.equal("n3")
}

// A namespace of which something came before what precedes it is kept, also without entries: else a late copy would bring it back.
func TestEmptyNamespacesAreKeptBehindAGap(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 2)
	a, b := w.regions[0], w.regions[1]
	must(t, a, "", "other", set("v", 1))
	must(t, a, "", "one", add("s", "a"))
	w.send(a, 10)
	second := w.flying[1]
	w.arrive(1, true)
	must(t, b, "", "one", drop("s"))
	if report := w.maintain(b); report.Forgotten != 0 {
		t.Errorf("forgotten before the gap is closed: %+v", report)
	}
	w.flying = []event{second}
	w.arrive(0, false)
	ctx, _ := callOf("", "")
	if got, err := b.kept.Get(ctx, "one"); !fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) {
		t.Errorf("it has risen: %v, %v", got, err)
	}
	a.cursor = 0
	w.settle()
	w.equal("one")
}

// A region that is away keeps the others from folding, and does not make them tell the same again and again.
func TestNothingIsToldTwiceForNothing(t *gotesting.T) {
	t.Parallel()
	w := newWorld(t, 3)
	a, b := w.regions[0], w.regions[1]
	must(t, a, "k", "one", increment("c", 1))
	w.send(a, 10)
	w.flying = w.flying[:1] // The third region hears nothing.
	w.arrive(0, false)
	w.now = w.now.Add(100 * time.Hour)
	for i, want := range []settings.Report{{Told: 1}, {}, {}} {
		if got := w.maintain(b); got != want {
			t.Errorf("run %d: %+v", i, got)
		}
		w.send(b, 10)
		for len(w.flying) > 0 {
			w.arrive(0, false)
		}
		if got := w.maintain(a); got != (settings.Report{}) {
			t.Errorf("the writer in run %d: %+v", i, got)
		}
	}
}
