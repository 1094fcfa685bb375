package settings

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// maxListBytes is when a page of namespaces ends before it has as many as were asked for.
	maxListBytes = 1 << 20
	// queryPage is how many namespaces are read at once; each may have MaxMergedBytes.
	queryPage = 10
)

func shown(name string, s *settingsv1.State, keys ...string) *settingsv1.Settings {
	return &settingsv1.Settings{Namespace: name, Entries: crdt.Shown(s, keys...)}
}

// see raises what the call has seen to what a state knows.
func see(c *call.Call, seen map[string]uint64) {
	for region, seq := range seen {
		c.Seen.RaiseOrigin(ident.RegionID(region), ident.Seq(seq))
	}
}

// view reads a namespace for a call. It fails with NOT_FOUND when there are no entries in it.
func (s *Settings) view(ctx context.Context, name string) (*settingsv1.State, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	n, err := s.load(ctx, c.Tenant, name)
	if err != nil {
		return nil, err
	}
	state := n.stored.GetState()
	see(c, state.GetSeen())
	if len(state.GetEntries()) == 0 {
		return nil, fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such namespace")
	}
	return state, nil
}

// Get returns a namespace of the caller's tenant as this region has it, with the entries of the given keys, or all when there are none. It
// fails with NOT_FOUND when the namespace has no entries.
func (s *Settings) Get(ctx context.Context, name string, keys ...string) (*settingsv1.Settings, error) {
	state, err := s.view(ctx, name)
	if err != nil {
		return nil, err
	}
	return shown(name, state, keys...), nil
}

// Conflicts returns what concurrent writes to a namespace have overridden, in the order of keys. It fails like Get.
func (s *Settings) Conflicts(ctx context.Context, name string) ([]*settingsv1.Conflict, error) {
	state, err := s.view(ctx, name)
	if err != nil {
		return nil, err
	}
	return crdt.Conflicts(state), nil
}

// List returns at most size namespaces of the caller's tenant after those of the page whose token is given, in the order of names, and the
// next page's token, which is empty on the last page. A page may be shorter than asked for. It fails with TOKEN_INVALID.
func (s *Settings) List(ctx context.Context, size int, token string) (page []*settingsv1.Settings, next string, err error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, "", err
	}
	after, err := openToken(token)
	if err != nil {
		return nil, "", err
	}
	bytes := 0
	more, err := s.each(ctx, c.Tenant, after, func(n *namespace) (bool, error) {
		state := n.stored.GetState()
		see(c, state.GetSeen())
		if len(state.GetEntries()) == 0 {
			return true, nil
		}
		if len(page) == size || bytes > maxListBytes {
			return false, nil
		}
		one := shown(n.name, state)
		page, bytes = append(page, one), bytes+proto.Size(one)
		return true, nil
	})
	if err != nil {
		return nil, "", err
	}
	// That a namespace is not in the list was seen too.
	missing, err := s.gone(ctx, c.Tenant)
	if err != nil {
		return nil, "", err
	}
	see(c, missing.GetSeen())
	if more && len(page) > 0 {
		next = base64.RawURLEncoding.EncodeToString([]byte(page[len(page)-1].GetNamespace()))
	}
	return page, next, nil
}

// openToken returns the name that a page token continues after. There is nothing to forge: it is a name within the caller's own tenant.
func openToken(token string) (string, error) {
	name, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || token != "" && !namespaceName.Match(name) {
		return "", fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "the page token is not one of this list")
	}
	return string(name), nil
}

// each calls fn with the stored namespaces after a name until it returns false, which each then reports.
func (s *Settings) each(
	ctx context.Context, tenant ident.TenantID, after string, fn func(*namespace) (bool, error),
) (stopped bool, err error) {
	first, end := keyspace.NamespacesAfter(after)
	for {
		page, err := s.cfg.Store.Query(ctx, store.Query{Partition: keyspace.Settings(tenant), From: first, To: end, Limit: queryPage})
		if err != nil {
			return false, fmt.Errorf("listing namespaces: %w", err)
		}
		for _, item := range page.Items {
			n := &namespace{row: row{there: true, version: item.Version}, stored: &settingsv1.StoredNamespace{}}
			n.name, _ = keyspace.ParseNamespace(item.Key.Sort)
			if err := proto.Unmarshal(item.Value, n.stored); err != nil {
				return false, fmt.Errorf("decoding stored settings: %w", err)
			}
			if on, err := fn(n); err != nil || !on {
				return !on, err
			}
		}
		if !page.More {
			return false, nil
		}
		if len(page.Items) == 0 {
			return false, errors.New("settings: an empty page with more to come")
		}
		first = page.Items[len(page.Items)-1].Key.Sort + "\x00"
	}
}
