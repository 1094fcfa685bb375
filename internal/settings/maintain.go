package settings

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// Report is what Maintain did.
type Report struct {
	// Applied is how many positions that waited are applied, and Waiting how many still wait.
	Applied, Waiting int
	// Folded is how many namespaces had old increments folded.
	Folded int
	// Told is how many namespaces are told again so that other regions learn what this one knows, and can fold.
	Told int
	// Forgotten is how many namespaces without entries are kept no more.
	Forgotten int
}

// Maintain applies what waited, and keeps the state of a tenant's namespaces small. It is to be run now and then for each tenant that
// has settings here; nothing but size and what waits depends on it.
//
// What one region can forget depends on what the others have shown that they know, and a region shows it with what it tells. So a region
// in which old increments are not folded yet tells what it has learned since it told last. That is a position of its stream, but
// no write: nobody has to tell anything in return.
func (s *Settings) Maintain(ctx context.Context, tenant ident.TenantID) (Report, error) {
	var r Report
	if err := s.unpark(ctx, tenant, &r); err != nil {
		return r, err
	}
	var names []string
	if _, err := s.each(ctx, tenant, "", func(n *namespace) (bool, error) {
		if s.chore(ctx, tenant, n) != nil {
			names = append(names, n.name)
		}
		return true, nil
	}); err != nil {
		return r, err
	}
	for _, name := range names {
		err := s.retry(ctx, tenant, func() error {
			n, err := s.load(ctx, tenant, name)
			if err != nil || !n.there {
				return err
			}
			if do := s.chore(ctx, tenant, n); do != nil {
				return do(&r)
			}
			return nil
		})
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// chore returns what is to be done about a namespace; nil when that is nothing.
func (s *Settings) chore(ctx context.Context, tenant ident.TenantID, n *namespace) func(*Report) error {
	now := s.cfg.Clock()
	state, before := n.stored.GetState(), now.Add(-s.cfg.FoldAfter)
	if crdt.Foreign(state) {
		return nil
	}
	var others []string
	for _, region := range s.cfg.Others(tenant) {
		if region != s.cfg.Region {
			others = append(others, string(region))
		}
	}
	stable := crdt.Stable(n.stored.GetShown(), state.GetSeen(), others)
	if folded, did := crdt.Fold(state, string(s.cfg.Region), stable, before); did {
		return func(r *Report) error { return s.tellAgain(ctx, tenant, n, folded, now, &r.Folded) }
	}
	if n.stored.GetUntold() && crdt.Foldable(state, before) {
		return func(r *Report) error { return s.tellAgain(ctx, tenant, n, state, now, &r.Told) }
	}
	if len(state.GetEntries()) == 0 {
		return func(r *Report) error { return s.forget(ctx, tenant, n, &r.Forgotten) }
	}
	return nil
}

// tellAgain stores a state that says the same, with a position of the region's stream that tells it.
func (s *Settings) tellAgain(
	ctx context.Context, tenant ident.TenantID, n *namespace, state *settingsv1.State, now time.Time, count *int,
) error {
	end, err := s.end(ctx, tenant, state)
	if err != nil {
		return err
	}
	ops, err := s.writeOps(tenant, n, end, state, nil, now)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, ops); err != nil {
		return changed(err)
	}
	*count++
	return nil
}

// forget deletes a namespace without entries, if all that it knows is in the watermarks as well; see gone.
func (s *Settings) forget(ctx context.Context, tenant ident.TenantID, n *namespace, count *int) error {
	missing, err := s.gone(ctx, tenant)
	if err != nil || !crdt.Within(n.stored.GetState().GetSeen(), missing.GetSeen()) {
		return err
	}
	err = s.commit(ctx, []store.Op{{
		Kind: store.Delete, If: n.unchanged(), Item: store.Item{Key: keyspace.Namespace(tenant, n.name)},
	}})
	if err != nil {
		return changed(err)
	}
	*count++
	return nil
}

// unpark applies what waited, where it can be applied by now.
func (s *Settings) unpark(ctx context.Context, tenant ident.TenantID, r *Report) error {
	return s.scan(ctx, tenant, keyspace.SettingsParkedAll, func(item store.Item) error {
		origin, seq, ok := keyspace.ParseSettingsParked(item.Key.Sort)
		var parked settingsv1.StoredParked
		if err := proto.Unmarshal(item.Value, &parked); err != nil || !ok {
			return fmt.Errorf("decoding what waits: %w", err)
		}
		if !s.ready(parked.GetState()) {
			r.Waiting++
			return nil
		}
		err := s.retry(ctx, tenant, func() error {
			return s.merge(ctx, tenant, origin, seq, parked.GetNamespace(), parked.GetState(), &item.Key)
		})
		if fault.Is(err, errorsv1.Reason_REASON_TOO_LARGE) || errors.Is(err, errNewer) {
			r.Waiting++
			return nil
		}
		if err == nil {
			r.Applied++
		}
		return err
	})
}

// ready tells whether what waited can be merged by now. What a newer release made and this one finds to be wrong stays for an operator
// to see, and holds up nothing else.
func (s *Settings) ready(state *settingsv1.State) bool {
	return !crdt.Foreign(state) && crdt.CheckDrift(crdt.Latest(state), s.cfg.Clock()) == nil && crdt.Check(state) == nil
}
