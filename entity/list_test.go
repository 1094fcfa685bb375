package entity_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// all reads every page.
func (w *world) all(ctx context.Context, t fataler, size int32) (ids []string, pages int) {
	t.Helper()
	page := entity.Page{Size: size}
	for {
		users, next, err := w.users.List(ctx, page)
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		pages++
		for _, u := range users {
			ids = append(ids, u.GetId())
		}
		if next == "" {
			return ids, pages
		}
		if len(next) > 512 {
			t.Fatalf("a token of %d bytes", len(next))
		}
		page.Token = next
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	w := memory(t)
	if ids, pages := w.all(as(acme), t, 10); len(ids) != 0 || pages != 1 {
		t.Errorf("a tenant without users lists %v", ids)
	}
	want := make([]string, 0, 130)
	for i := range 130 {
		want = append(want, w.mustCreate(as(acme), user(strconv.Itoa(i))).GetId())
		w.mustCreate(as(other), user(strconv.Itoa(i)))
	}
	sort.Strings(want)
	for _, test := range []struct{ size, pages int }{{0, 2}, {1, 130}, {7, 19}, {13, 10}, {130, 1}, {1000, 1}} {
		ids, pages := w.all(as(acme), t, int32(test.size))
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", test.size, diff)
		}
		if pages != test.pages {
			t.Errorf("pages of %d: %d, want %d", test.size, pages, test.pages)
		}
	}
	for _, size := range []int32{-1, 1001} {
		_, _, err := w.users.List(as(acme), entity.Page{Size: size})
		wantReason(t, err, errorsv1.Reason_REASON_INVALID_ARGUMENT)
	}
	var summaries []string
	page := entity.Page{Size: 50}
	for {
		found, next, err := entity.ListProjections[*profilev1.UserSummary](as(acme), w.users, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range found {
			summaries = append(summaries, s.GetId())
		}
		if page.Token = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff(want, summaries); diff != "" {
		t.Errorf("summaries (-want +got):\n%s", diff)
	}
}

// A page reads a bounded number of rows, wherever in the list it is and however its entities lie in the lanes.
func TestListReadsLittleMoreThanAPage(t *testing.T) {
	t.Parallel()
	c := &counting{}
	w := newWorld(t, openMemory(t), func(s store.Store) store.Store { c.Store = s; return c }, entity.Tuning{})
	for i := range 400 {
		w.mustCreate(as(acme), user(strconv.Itoa(i)))
	}
	page := entity.Page{Size: 50}
	for n := 0; ; n++ {
		c.items.Store(0)
		c.queries.Store(0)
		_, next, err := w.users.List(as(acme), page)
		if err != nil {
			t.Fatal(err)
		}
		// Eight lanes of the share and some more; a lane that was used up is read once again.
		if items, queries := c.items.Load(), c.queries.Load(); items > 4*50 || queries > 2*ident.Lanes {
			t.Errorf("page %d read %d rows in %d queries", n, items, queries)
		}
		if page.Token = next; next == "" {
			break
		}
	}
}

// What is there from the first page to the last is listed exactly once while others are created, changed and deleted.
func TestListUnderConcurrentWrites(t *testing.T) {
	t.Parallel()
	w := memory(t)
	stable, doomed := map[string]bool{}, []string{}
	for i := range 120 {
		u := w.mustCreate(as(acme), user(strconv.Itoa(i)))
		if i%3 == 0 {
			doomed = append(doomed, u.GetId())
		} else {
			stable[u.GetId()] = true
		}
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			w.mustCreate(as(acme), user(fmt.Sprint("new", i)))
			if i < len(doomed) {
				if err := w.remove(as(acme), doomed[i], ""); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 6 {
		seen := map[string]int{}
		last := ""
		page := entity.Page{Size: 9}
		for len(seen) < 400 {
			users, next, err := w.users.List(as(acme), page)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range users {
				seen[u.GetId()]++
				if u.GetId() <= last {
					t.Fatalf("%s after %s", u.GetId(), last)
				}
				last = u.GetId()
			}
			if page.Token = next; next == "" {
				break
			}
		}
		for id := range stable {
			if seen[id] != 1 {
				t.Errorf("%s is listed %d times", id, seen[id])
			}
		}
	}
	close(stop)
	group.Wait()
}

func TestForgedPageTokens(t *testing.T) {
	t.Parallel()
	w := memory(t)
	for i := range 3 {
		w.mustCreate(as(acme), user(strconv.Itoa(i)))
		w.mustCreate(as(other), user(strconv.Itoa(i)))
	}
	list := func(ctx context.Context, token string) error {
		_, _, err := w.users.List(ctx, entity.Page{Size: 1, Token: token})
		return err
	}
	_, token, err := w.users.List(as(acme), entity.Page{Size: 1})
	if err != nil || token == "" {
		t.Fatalf("%q, %v", token, err)
	}
	if _, _, err := w.users.List(as(acme), entity.Page{Size: 2, Token: token}); err != nil {
		t.Errorf("with another page size: %v", err)
	}
	wantReason(t, list(as(other), token), errorsv1.Reason_REASON_TOKEN_INVALID)
	wantReason(t, list(as("nobody"), token), errorsv1.Reason_REASON_TOKEN_INVALID)
	_, _, err = entity.ListProjections[*profilev1.UserSummary](as(acme), w.users, entity.Page{Token: token})
	wantReason(t, err, errorsv1.Reason_REASON_TOKEN_INVALID)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := append([]byte(nil), raw...)
		forged[i] ^= 1
		wantReason(t, list(as(acme), base64.RawURLEncoding.EncodeToString(forged)), errorsv1.Reason_REASON_TOKEN_INVALID)
	}
	for _, bad := range []string{"x", token[:len(token)-1], token + "A", token + "=", "usr_01h455vb4pex5vsknk084sn02q", token[:10] + "\n" + token[10:]} {
		wantReason(t, list(as(acme), bad), errorsv1.Reason_REASON_TOKEN_INVALID)
	}
}

func FuzzPageToken(f *testing.F) {
	w := memory(f)
	for i := range 3 {
		w.mustCreate(as(acme), user(strconv.Itoa(i)))
	}
	_, token, err := w.users.List(as(acme), entity.Page{Size: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(token[1:])
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, given string) {
		_, _, err := w.users.List(as(acme), entity.Page{Size: 1, Token: given})
		if given != "" && given != token && !fault.Is(err, errorsv1.Reason_REASON_TOKEN_INVALID) {
			t.Errorf("%q: %v", given, err)
		}
	})
}

// The merge is the sorted union of the lanes, for any spread of ids and any chunks.
func TestListIsTheSortedUnion(t *testing.T) {
	t.Parallel()
	w := memory(t)
	var all []string
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(0, 3).Draw(rt, "more") {
			all = append(all, w.mustCreate(as(acme), user(strconv.Itoa(len(all)))).GetId())
		}
		sort.Strings(all)
		ids, _ := w.all(as(acme), rt, int32(rapid.IntRange(5, 60).Draw(rt, "size")))
		if diff := cmp.Diff(all, ids); len(all) > 0 && diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
