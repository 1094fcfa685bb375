package tour

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
)

// configure makes operations on the tour's namespace through a region.
func (g *guide) configure(ctx context.Context, through string, operations ...map[string]any) (restAnswer, error) {
	url, err := g.endpoint(through)
	if err != nil {
		return restAnswer{}, err
	}
	a, err := g.rest(ctx, restCall{
		method: http.MethodPatch, url: url + "/v1/settings/tour-" + g.canary[6:], tenant: "acme-eu", body: map[string]any{"operations": operations},
	})
	if err != nil {
		return a, err
	}
	return a, errors.Join(a.want(http.StatusOK), a.wantHeader("Domicile-Region", through))
}

// retryPause is how long the tour waits when a region says that what a token covers has not come to it yet: what its answer asks for.
const retryPause = 2 * time.Second

// configuration reads the tour's namespace, or what lies below it, through a region that has all that the tokens cover. A region that does not have
// it yet says so with 503 and when to ask again; the tour does, for as long as it waits for a region to learn of anything.
func (g *guide) configuration(ctx context.Context, through, path string, tokens []string) (restAnswer, error) {
	url, err := g.endpoint(through)
	if err != nil {
		return restAnswer{}, err
	}
	for began := time.Now(); ; {
		a, err := g.rest(ctx, restCall{
			method: http.MethodGet, url: url + "/v1/settings/tour-" + g.canary[6:] + path, tenant: "acme-eu",
			header: map[string]string{consistency: strings.Join(tokens, ","), "Domicile-Max-Wait": "2000"},
		})
		if err != nil {
			return a, err
		}
		if a.status != http.StatusServiceUnavailable || time.Since(began) > learnTime {
			return a, errors.Join(a.want(http.StatusOK), a.wantHeader("Domicile-Region", through))
		}
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(retryPause):
		}
	}
}

// twoPrimaries writes one namespace in two regions at the same time.
func (g *guide) twoPrimaries(ctx context.Context) error {
	regions := []string{frankfurt, saoPaulo}
	tokens, failures := make([]string, len(regions)), make([]error, len(regions))
	var wg sync.WaitGroup
	for i, region := range regions {
		wg.Go(func() {
			a, err := g.configure(ctx, region,
				map[string]any{"key": "visits", "increment": "1"},
				map[string]any{"key": "regions", "add": region},
				map[string]any{"key": "theme", "set": map[string]any{"stringValue": "of " + region}})
			tokens[i], failures[i] = a.header.Get(consistency), err
		})
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	g.heldf("each of the two answered by itself: neither asked the other")
	var first any
	for _, region := range regions {
		a, err := g.configuration(ctx, region, "", tokens)
		if err != nil {
			return err
		}
		entries, _ := a.fields["entries"].(map[string]any)
		visits, _ := entries["visits"].(map[string]any)
		set, _ := entries["regions"].(map[string]any)
		theme, _ := entries["theme"].(map[string]any)
		value, _ := theme["value"].(map[string]any)
		members, _ := set["members"].([]any)
		switch {
		case visits["count"] != "2":
			return fmt.Errorf("%s counts %v visits instead of 2", region, visits["count"])
		case len(members) != len(regions):
			return fmt.Errorf("%s has the set %v instead of both regions", region, members)
		case first != nil && !reflect.DeepEqual(first, a.fields["entries"]):
			return fmt.Errorf("%s shows %v, and %s %v", regions[0], first, region, a.fields["entries"])
		}
		first = a.fields["entries"]
		g.heldf("%s counts 2 visits, has both members, and the theme %q", region, value["stringValue"])
	}
	return g.overridden(ctx, tokens)
}

// overridden shows the value that did not win.
func (g *guide) overridden(ctx context.Context, tokens []string) error {
	a, err := g.configuration(ctx, singapore, "/conflicts", tokens)
	if err != nil {
		return err
	}
	conflicts, _ := a.fields["conflicts"].([]any)
	if len(conflicts) == 0 {
		g.heldf("one of them had heard of the other's theme before it set its own: that is no conflict")
		return nil
	}
	conflict, _ := conflicts[0].(map[string]any)
	lost, _ := conflict["overridden"].([]any)
	if len(conflicts) != 1 || conflict["key"] != "theme" || len(lost) != 1 {
		return fmt.Errorf("the conflicts are %v", conflicts)
	}
	g.heldf("the theme that was overridden is not lost: it is listed, here by %s", singapore)
	return nil
}
