package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// applyState puts the state items that follow from a record, each unless a newer record has put it. The subject's own item
// comes last: once it is there, all are. Until then the item of the tenant as it was before says which hosts it gave up. So it
// may be begun by one process and finished by another, any number of times.
func (w *Writer) applyState(ctx context.Context, r *directoryv1.Record) error {
	s, err := subjectOf(r)
	if err != nil {
		return fmt.Errorf("record %d of %s: %w", r.GetWseq(), w.cfg.Region, err)
	}
	key := stateKey(w.cfg.Region, s.sort)
	stored, err := w.cfg.Table.Get(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("reading a directory state item: %w", err)
	}
	found := err == nil
	n := ident.Seq(r.GetWseq())
	if found && stored.Version.Compare(version(n)) >= 0 {
		return nil
	}
	if err := w.applyRepetition(ctx, r, s); err != nil {
		return err
	}
	if r.GetTenant() != nil {
		if err := w.applyHosts(ctx, r, stored, found); err != nil {
			return err
		}
	}
	state := proto.CloneOf(r)
	state.Repetition = nil
	data, err := encode(state)
	if err != nil {
		return err
	}
	return w.putState(ctx, store.Item{Key: key, Version: version(n), Tag: tag(s.tenant), Value: data})
}

// applyRepetition puts what answers a repeated call.
func (w *Writer) applyRepetition(ctx context.Context, r *directoryv1.Record, s subject) error {
	rep := r.GetRepetition()
	if rep == nil {
		return nil
	}
	data, err := encode(rep)
	if err != nil {
		return err
	}
	return w.putState(ctx, store.Item{
		Key: stateKey(w.cfg.Region, repetitionSort(rep.GetKeyHash())), Version: version(ident.Seq(r.GetWseq())),
		Tag: tag(s.tenant), Expires: r.GetWriteTime().AsTime().Add(RepetitionTTL), Value: data,
	})
}

// applyHosts gives a tenant's hosts to it and takes back those that it no longer has. The value of a host's item is its
// owner's id; an empty one says that the host is free again.
func (w *Writer) applyHosts(ctx context.Context, r *directoryv1.Record, before store.Item, found bool) error {
	n := ident.Seq(r.GetWseq())
	owner := ident.TenantID(r.GetTenant().GetId())
	now := hostsOf(r.GetTenant())
	if found {
		old, err := decodeState(before)
		if err != nil {
			return err
		}
		for _, host := range hostsOf(old.GetTenant()) {
			if slices.Contains(now, host) {
				continue
			}
			if err := w.freeHost(ctx, host, owner, n); err != nil {
				return err
			}
		}
	}
	for _, host := range now {
		err := w.putState(ctx, store.Item{
			Key: stateKey(w.cfg.Region, hostSort(host)), Version: version(n), Tag: tag(owner), Value: []byte(owner),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// freeHost takes a host back from its owner; from another one it takes nothing.
func (w *Writer) freeHost(ctx context.Context, host string, owner ident.TenantID, n ident.Seq) error {
	key := stateKey(w.cfg.Region, hostSort(host))
	item, err := w.cfg.Table.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a host's owner: %w", err)
	}
	if string(item.Value) != string(owner) {
		return nil
	}
	return w.putState(ctx, store.Item{Key: key, Version: version(n), Tag: tag(owner)})
}

// putState puts a state item unless a newer record has put it.
func (w *Writer) putState(ctx context.Context, item store.Item) error {
	err := w.cfg.Table.Commit(ctx, store.Commit{
		Ops: []store.Op{{Kind: store.Put, Item: item, If: store.OlderThan(item.Version)}},
	})
	if err != nil && !isConditionError(err) {
		return fmt.Errorf("putting a directory state item: %w", err)
	}
	return nil
}
