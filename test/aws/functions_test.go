//go:build aws

package aws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/lambdahost"
)

const tenant = "acme-eu"

// The functions' own binaries keep the regions of a deployment in step. The parts follow each other: each goes on with what those before it wrote.
//
//nolint:paralleltest,tparallel // see above
func TestFunctions(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	user := s.create(t, "first")
	s.known(t, user)
	t.Run("a read with a token sees the write", func(t *testing.T) { s.readsItsWrites(t, user) })
	t.Run("settings of two regions are seen in both", s.settingsOfTwo)
	t.Run("an apply that is killed after its commit is applied once", func(t *testing.T) { s.killedApply(t, user) })
	t.Run("settings whose apply is killed after its commit count once", s.killedSettings)
	t.Run("what a lost relay did not tell is found by a sweep", func(t *testing.T) { s.lostRelay(t, user) })
	t.Run("developers find the region's pages and documents behind its edge", s.documented)
	t.Run("no personal data is anywhere in clear", s.residency)
	t.Run("all copies agree", s.agree)
}

// create writes a user through Virginia, at home in Frankfurt.
func (s *stack) create(t *testing.T, word string) (id string) {
	t.Helper()
	return createThrough(t, s.regions[virginia].edge, s.keys[tenant], word)
}

// createThrough writes a user of the Frankfurt tenant through Virginia's edge.
func createThrough(t *testing.T, edge, key, word string) (id string) {
	t.Helper()
	var a answer
	eventually(t, "a user is created through Virginia", func() error { // The first call of a tenant waits for its key in the standby.
		var err error
		a, err = try(t.Context(), request{
			method: http.MethodPost, url: edge + "/v1/users", key: key, body: newUser(word),
			header: map[string]string{"Idempotency-Key": "create-" + word},
		})
		return errors.Join(err, a.isOK(frankfurt))
	})
	if got := a.header.Get("Domicile-Edge"); got != virginia {
		t.Fatalf("came in at %q", got)
	}
	return a.text("id")
}

// change sets the user's locale through a region and returns the token.
func (s *stack) change(t *testing.T, through, user, locale string) (token string) {
	t.Helper()
	return do(t, request{
		method: http.MethodPatch, url: s.regions[through].edge + "/v1/users/" + user + "?updateMask=locale", key: s.keys[tenant],
		body: map[string]any{"locale": locale},
	}).mustBe(t, frankfurt).token()
}

// summary reads the user's projection through Virginia.
func (s *stack) summary(ctx context.Context, user, token string) (answer, error) {
	header := map[string]string{"Domicile-Max-Wait": "2000"}
	if token != "" {
		header["Domicile-Consistency"] = token
	}
	return try(ctx, request{
		method: http.MethodGet, url: s.regions[virginia].edge + "/v1/users/" + user + "/summary", key: s.keys[tenant], header: header,
	})
}

// known waits until Virginia answers for the user from its own replica.
func (s *stack) known(t *testing.T, user string) {
	t.Helper()
	eventually(t, "Virginia answers from its own replica", func() error {
		a, err := s.summary(t.Context(), user, "")
		return errors.Join(err, a.isOK(virginia))
	})
}

// shows waits until Virginia's own replica has a locale.
func (s *stack) shows(t *testing.T, user, locale string) {
	t.Helper()
	eventually(t, "Virginia shows "+locale, func() error {
		a, err := s.summary(t.Context(), user, "")
		if err := errors.Join(err, a.isOK(virginia)); err != nil {
			return err
		}
		if got := a.text("locale"); got != locale {
			return fmt.Errorf("it shows %s", got)
		}
		return nil
	})
}

// readsItsWrites writes and reads with the token of the write. What a read may never show is the past; that it is answered by the replica is shown once, since an
// emulator on a busy machine may be longer in telling than the longest wait.
func (s *stack) readsItsWrites(t *testing.T, user string) {
	t.Helper()
	locales := []string{"de-DE", "it-IT", "pt-BR", "fr-FR"}
	own, began := 0, time.Now()
	for i := 0; i < len(locales) || own == 0; i++ {
		if time.Since(began) > 2*bound {
			t.Fatalf("Virginia answered none of %d reads with a token from its own replica", i)
		}
		locale := locales[i%len(locales)]
		token := s.change(t, virginia, user, locale)
		a, err := s.summary(t.Context(), user, token)
		if err := errors.Join(err, a.isOK("")); err != nil {
			t.Fatal(err)
		}
		if got := a.text("locale"); got != locale {
			t.Fatalf("the summary shows %s after %s was written", got, locale)
		}
		if a.header.Get("Domicile-Region") == virginia {
			own++
		}
		t.Logf("%s by %s after %v", locale, a.header.Get("Domicile-Region"), time.Since(began).Round(time.Millisecond))
	}
}

// configure changes the tenant's settings in a region.
func (s *stack) configure(t *testing.T, region, namespace string, operations ...map[string]any) (token string) {
	t.Helper()
	return do(t, request{
		method: http.MethodPatch, url: s.regions[region].edge + "/v1/settings/" + namespace, key: s.keys[tenant],
		body: map[string]any{"operations": operations},
	}).mustBe(t, region).token()
}

// entries reads settings in a region that has all that the tokens cover.
func (s *stack) entries(t *testing.T, region, namespace string, tokens ...string) (map[string]any, error) {
	t.Helper()
	a, err := try(t.Context(), request{
		method: http.MethodGet, url: s.regions[region].edge + "/v1/settings/" + namespace, key: s.keys[tenant],
		header: map[string]string{"Domicile-Consistency": strings.Join(tokens, ","), "Domicile-Max-Wait": "2000"},
	})
	if err := errors.Join(err, a.isOK(region)); err != nil {
		return nil, err
	}
	entries, _ := a.fields["entries"].(map[string]any)
	return entries, nil
}

func (s *stack) settingsOfTwo(t *testing.T) {
	regions := []string{frankfurt, virginia}
	tokens := make([]string, len(regions))
	var writers sync.WaitGroup
	for i, region := range regions {
		writers.Go(func() {
			tokens[i] = s.configure(t, region, "both", map[string]any{"key": "visits", "increment": "1"}, map[string]any{"key": "regions", "add": region})
		})
	}
	writers.Wait()
	for _, region := range regions {
		eventually(t, region+" has both regions' settings", func() error {
			entries, err := s.entries(t, region, "both", tokens...)
			if err != nil {
				return err
			}
			visits, _ := entries["visits"].(map[string]any)
			set, _ := entries["regions"].(map[string]any)
			if members, _ := set["members"].([]any); visits["count"] != "2" || len(members) != 2 {
				return fmt.Errorf("it has %v", entries)
			}
			return nil
		})
	}
}

// killAfterCommit makes a change whose apply in a region is killed after a table took its write: AWS's answer never comes, and the time of the function is over. A
// function that gives up by itself in the last moment is no kill, so it is tried again with another change.
func (s *stack) killAfterCommit(t *testing.T, region, table string, change func(attempt int)) {
	t.Helper()
	applying := s.regions[region].applying
	before := applying.ended(lambdahost.TimedOut)
	defer s.regions[region].aws.with(nil)
	for attempt := range 5 {
		var held atomic.Bool
		gone := make(chan struct{})
		s.regions[region].aws.with(func(c awsCall) disturbance {
			if !c.writes(s.names.Table(table)) || !held.CompareAndSwap(false, true) {
				return disturbance{}
			}
			return disturbance{hold: true, gone: func() { close(gone) }}
		})
		change(attempt)
		select {
		case <-gone:
		case <-time.After(bound):
			t.Fatalf("within %v no write was held until its function ended (held: %v)", bound, held.Load())
		}
		if applying.soonEnded(lambdahost.TimedOut, before) {
			return
		}
		t.Log("the function gave up by itself")
	}
	t.Fatal("the function was not killed")
}

func (s *stack) killedApply(t *testing.T, user string) {
	t.Helper()
	locales := []string{"nl-NL", "da-DK"}
	s.killAfterCommit(t, virginia, "replica", func(attempt int) { s.change(t, frankfurt, user, locales[attempt%len(locales)]) })
	token := s.change(t, frankfurt, user, "sv-SE")
	s.shows(t, user, "sv-SE")
	a, err := s.summary(t.Context(), user, token)
	if err := errors.Join(err, a.isOK(virginia)); err != nil {
		t.Error(err)
	}
	if rows := s.rowsWith(t, virginia, "replica", "e/"+user); rows != 1 {
		t.Errorf("%d rows of the user's projection in Virginia", rows)
	}
}

func (s *stack) killedSettings(t *testing.T) {
	var tokens []string
	increment := func(int) {
		tokens = append(tokens, s.configure(t, frankfurt, "killed", map[string]any{"key": "visits", "increment": "1"}))
	}
	s.killAfterCommit(t, virginia, "settings", increment)
	increment(0)
	eventually(t, "Virginia counts", func() error {
		entries, err := s.entries(t, virginia, "killed", tokens...)
		if err != nil {
			return err
		}
		if visits, _ := entries["visits"].(map[string]any); visits["count"] != strconv.Itoa(len(tokens)) {
			return fmt.Errorf("it has %v after %d increments", entries, len(tokens))
		}
		return nil
	})
}

// rowsWith counts the rows of a table whose key contains text.
func (s *stack) rowsWith(t *testing.T, region, table, text string) int {
	t.Helper()
	rows := 0
	s.scan(t, region, table, func(item map[string]types.AttributeValue) {
		if sort, ok := item["sk"].(*types.AttributeValueMemberB); ok && strings.Contains(string(sort.Value), text) {
			rows++
		}
	})
	return rows
}

// scan reads a table with nothing but the SDK.
func (d *deployed) scan(t testing.TB, region, table string, each func(map[string]types.AttributeValue)) {
	t.Helper()
	name := d.names.Table(table)
	pages := dynamodb.NewScanPaginator(d.in(region).dynamo, &dynamodb.ScanInput{TableName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("scanning %s of %s: %v", name, region, err)
		}
		for _, item := range page.Items {
			each(item)
		}
	}
}

// silence is how long what nobody tells must stay unknown.
const silence = 2 * time.Second

func (s *stack) lostRelay(t *testing.T, user string) {
	t.Helper()
	r := s.regions[frankfurt]
	r.relay.stop()
	s.change(t, frankfurt, user, "fi-FI")
	i := s.topology.Regions()[0]
	r.relay = s.feedStream(i, r.relay.function, true)
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for waiting := true; waiting; {
		select {
		case <-quiet.C:
			waiting = false
		case <-time.After(200 * time.Millisecond):
			a, err := s.summary(t.Context(), user, "")
			if err := errors.Join(err, a.isOK("")); err != nil {
				t.Fatal(err)
			}
			if a.header.Get("Domicile-Region") == virginia && a.text("locale") == "fi-FI" {
				t.Fatal("Virginia has what the relay did not tell, before the sweep: the test shows nothing")
			}
		}
	}
	s.sweepNow(t, frankfurt)
	s.shows(t, user, "fi-FI")
}

// documented reads what is for developers as a browser does: without a key, compressed, through the HTTP API and the edge function, which have none of
// it themselves.
func (s *stack) documented(t *testing.T) {
	edge := s.regions[virginia].edge
	for path, says := range map[string]string{
		"/docs": "<title>", "/docs/reference": "<title>", "/openapi.yaml": "x-region: " + virginia, "/openapi/v1.json": `"x-region":"` + virginia + `"`,
		"/.well-known/api-catalog": "/openapi/v1.yaml", "/llms.txt": "Virginia",
	} {
		got := do(t, request{method: http.MethodGet, url: edge + path})
		if got.status != http.StatusOK || !strings.Contains(string(got.body), says) {
			t.Errorf("%s is answered with %d, and does not say %q: %.300s", path, got.status, says, got.body)
			continue
		}
		known := map[string]string{"If-None-Match": got.header.Get("ETag")}
		if again := do(t, request{method: http.MethodGet, url: edge + path, header: known}); again.status != http.StatusNotModified || len(again.body) > 0 {
			t.Errorf("what is known of %s is sent again: %d", path, again.status)
		}
	}
	if got := do(t, request{method: http.MethodGet, url: edge + "/openapi/v9.yaml"}); got.status != http.StatusNotFound || !strings.Contains(string(got.body), `"versions":"v1"`) {
		t.Errorf("a version that there is not is answered with %d: %.300s", got.status, got.body)
	}
	if got := do(t, request{method: http.MethodGet, url: edge + "/docs"}); got.header.Get("Content-Security-Policy") == "" {
		t.Error("the pages come without a content security policy")
	}
}

// agree compares all copies with what their homes have.
func (s *stack) agree(t *testing.T) {
	eventually(t, "all copies agree", func() error {
		r, err := operations(s.control.OperationsURL(), s.operator).VerifySync(t.Context(), &operationsv1.VerifySyncRequest{})
		if err != nil {
			return err
		}
		for _, region := range r.GetRegions() {
			if region.GetUnreachable() != "" || region.GetDifferenceCount() > 0 {
				return fmt.Errorf("%s: %s, %d differences", region.GetRegion(), region.GetUnreachable(), region.GetDifferenceCount())
			}
		}
		return nil
	})
}
