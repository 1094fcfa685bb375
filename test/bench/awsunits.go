package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/domicile-api/domicile/internal/cost"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// spent is what requests cost together.
type spent struct {
	calls         int
	reads, writes float64
	items, body   int
}

func spentOn(calls []awsCall, service string) spent {
	var s spent
	for _, c := range calls {
		if c.service != service {
			continue
		}
		s.calls++
		s.reads += c.reads
		s.writes += c.writes
		s.items += c.items
		s.body += c.body
	}
	return s
}

// storeCalls counts the requests of the port's own operations.
func storeCalls(ctx context.Context, t *table) error {
	c := newCloud()
	e, err := newEngine(c)
	if err != nil {
		return err
	}
	item := func(sort string) store.Item {
		return store.Item{
			Key: store.Key{Partition: "bench", Sort: sort}, Version: ident.Version{Epoch: 1, Seq: 1}, Value: []byte("value"),
			Tag: store.Tag{Tenant: engineTenant, Class: store.ClassPII, Jurisdiction: engineJurisdiction},
		}
	}
	commit := store.Commit{Token: "bench"}
	for i := range 5 {
		commit.Ops = append(commit.Ops, store.Op{Kind: store.Put, Item: item(strconv.Itoa(i)), If: store.Absent()})
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"commit of five items", func() error { return e.table.Commit(ctx, commit) }},
		{"get", func() error { _, err := e.table.Get(ctx, item("0").Key); return err }},
	} {
		mark := c.mark()
		if err := step.do(); err != nil {
			return fmt.Errorf("measuring a %s: %w", step.name, err)
		}
		n := spentOn(c.since(mark), dynamoDB).calls
		t.add(row{name: step.name + ", calls", figure: fmt.Sprintf("%d DynamoDB", n), beside: "= 1", ratio: met(n == 1)})
	}
	return nil
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "NOT MET"
}

// unitRows sets what DynamoDB would count for operations of the engine beside what package cost says.
func unitRows(ctx context.Context, t *table) error {
	c := newCloud()
	e, err := newEngine(c)
	if err != nil {
		return err
	}
	if err := e.warm(ctx); err != nil {
		return fmt.Errorf("creating users: %w", err)
	}
	for _, kb := range []float64{1, 10, 100} {
		in := cost.Default(0, 1)
		in.EntityKB, in.ProjectionKB = kb, kb/4
		model := cost.OperationsOf(&in)
		extra, err := e.fit(ctx, int(kb*1024))
		if err != nil {
			return err
		}
		var id string
		for _, step := range []struct {
			model cost.Operation
			do    func() error
		}{
			{model.Create, func() (err error) { id, err = e.create(ctx, extra); return err }},
			{model.Get, func() error { return e.get(ctx, id) }},
			{model.Update, func() error { return e.update(ctx, id, extra) }},
			{model.Delete, func() error { return e.remove(ctx, id) }},
		} {
			mark := c.mark()
			if err := step.do(); err != nil {
				return fmt.Errorf("measuring a %s of %g KB: %w", step.model.Name, kb, err)
			}
			t.add(unitRow(step.model, kb, c.since(mark)))
		}
	}
	return e.engine.Close(ctx)
}

func unitRow(model cost.Operation, kb float64, calls []awsCall) row {
	s := spentOn(calls, dynamoDB)
	name, _, _ := strings.Cut(model.Name, " ")
	same := float64(s.calls) == model.Calls && s.reads == model.Reads && s.writes == model.Writes //nolint:exact // Whole numbers.
	return row{
		name:   fmt.Sprintf("%s, entity of %g KB", name, kb),
		figure: fmt.Sprintf("%d calls, %g RRU, %g WRU; %d bytes of items, %d of requests", s.calls, s.reads, s.writes, s.items, s.body),
		beside: fmt.Sprintf("model: %g calls, %g RRU, %g WRU", model.Calls, model.Reads, model.Writes), ratio: met(same),
	}
}

// fit finds how many bytes more a user needs for its value at rest to be so long, which is what the model calls an entity's size: without its
// look-up entry.
func (e *engine) fit(ctx context.Context, target int) (extra int, err error) {
	for range 3 {
		id, err := e.create(ctx, extra)
		if err != nil {
			return 0, fmt.Errorf("fitting a user: %w", err)
		}
		item, err := e.table.Get(ctx, keyspace.Entity(engineTenant, id))
		if err != nil {
			return 0, fmt.Errorf("fitting a user: %w", err)
		}
		extra += target + lookupEntry - len(item.Value)
		if extra < 0 {
			return 0, errors.New("a user is larger than the smallest size that is measured")
		}
	}
	return extra, nil
}

// lookupEntry is what an entity's value has of a unique value.
const lookupEntry = 38
