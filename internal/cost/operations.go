package cost

import (
	"math"

	"github.com/domicile-api/domicile/internal/ident"
)

// Operation is what one operation costs at the stores of one region.
type Operation struct {
	Name string `json:"name"`
	// Calls are requests to DynamoDB; Reads and Writes its request units.
	Calls  float64 `json:"calls"`
	Reads  float64 `json:"reads"`
	Writes float64 `json:"writes"`
	// Bytes is what it sends to another region.
	Bytes float64 `json:"bytes"`
}

func (o Operation) times(n float64) Operation {
	return Operation{o.Name, o.Calls * n, o.Reads * n, o.Writes * n, o.Bytes * n}
}

func (o Operation) plus(p Operation) Operation {
	return Operation{o.Name, o.Calls + p.Calls, o.Reads + p.Reads, o.Writes + p.Writes, o.Bytes + p.Bytes}
}

// Operations are what each operation costs; see docs/cost.md for where each number comes from.
type Operations struct {
	Create, Update, Delete, Get, List, GetAway, ListAway, Token Operation
	// Relay is for each destination and feed, Apply in the destination, Prune once for each write.
	RelayProjection, RelayCopy, ApplyProjection, ApplyCopy, Prune Operation
	// LoadKey is the reading of a tenant's key that a process does not have in memory; a call of KMS comes with it.
	LoadKey Operation
}

// All returns them in the order of a call's life.
func (o *Operations) All() []Operation {
	return []Operation{
		o.Create, o.Update, o.Delete, o.Get, o.List, o.GetAway, o.ListAway, o.Token,
		o.RelayProjection, o.RelayCopy, o.ApplyProjection, o.ApplyCopy, o.Prune, o.LoadKey,
	}
}

// OperationsOf derives the operations of a deployment from what the code does.
func OperationsOf(in *Input) Operations {
	s := sizesOf(in)
	lanes := float64(ident.Lanes)
	// A batch has the lane's counter once.
	commit := func(name string, items float64) Operation {
		return Operation{Name: name, Calls: 1 / in.CommitBatch, Writes: transacted * (items + writes(s.counter)/in.CommitBatch)}
	}
	replay := Operation{Calls: 1, Reads: 1} // The idempotency record, which is not there.
	entity := Operation{Calls: 1, Reads: reads(s.entity)}
	lookups := in.Lookups * writes(s.lookup)

	copied := 2 * (in.EntityKB*1024 + eventOverhead) // the entity, and the answer that has it
	perLane := in.listed()
	list := func(name string, item float64) Operation {
		query := lanes * reads(perLane*item)
		return Operation{Name: name, Calls: 2 * lanes, Reads: query + lanes*reads(s.counter)}
	}
	return Operations{
		Create:   commit("create", writes(s.entity)+writes(s.outbox)+writes(s.record)+lookups).plus(replay),
		Update:   commit("update", writes(s.entity)+writes(s.outbox)+writes(s.record)).plus(replay).plus(entity),
		Delete:   commit("delete", writes(s.entity)+writes(s.outbox)+writes(s.deletedRecord)+lookups).plus(replay).plus(entity),
		Get:      Operation{Name: "get at home", Calls: 1, Reads: reads(s.entity)},
		List:     list("list at home", s.entity),
		GetAway:  Operation{Name: "get a projection in a replica", Calls: 2, Reads: reads(s.projection) + reads(s.watermark)},
		ListAway: list("list projections in a replica", s.projection),
		Token:    Operation{Name: "token or staleness at a replica", Calls: lanes, Reads: lanes * reads(s.watermark)},

		RelayProjection: s.relay("send a projection", in.RelayBatch, reads(s.entity), in.ProjectionKB*1024+eventOverhead),
		RelayCopy:       s.relay("send a sealed copy", in.RelayBatch, reads(s.entity)+reads(s.record), copied).plus(Operation{Calls: 1}),
		ApplyProjection: s.applyProjection(in),
		ApplyCopy:       s.applyCopy(in),
		Prune:           s.prune(in.RelayBatch),
		LoadKey:         Operation{Name: "load a tenant's key", Calls: 1, Reads: reads(keyRecord)},
	}
}

// listed returns how many items a list reads of each lane: a share and a half of the page and four more, and one more to know whether
// others follow; no more than there are.
func (in *Input) listed() float64 {
	share := math.Floor(in.PageSize / ident.Lanes)
	return math.Min(math.Min(share+math.Floor(share/2)+4, in.PageSize+1)+1, in.Entities/ident.Lanes)
}

// relay reads cursor, counter and outbox once a page, each entity once, and moves the cursor: a write of one item without a token.
func (s *sizes) relay(name string, batch, entity, bytes float64) Operation {
	page := reads(s.cursor) + reads(s.counter) + reads(batch*s.outbox)
	return Operation{Name: name, Calls: 4/batch + 1, Reads: page/batch + entity, Writes: writes(s.cursor) / batch, Bytes: bytes}
}

// applied is what both kinds of apply do: read the watermark and the entity, commit both; of a new entity also look at its tombstone, and
// check that there is still none.
func (s *sizes) applied(in *Input, name string, item float64) Operation {
	o := Operation{
		Name: name, Calls: 2/in.ApplyBatch + 1, Reads: reads(s.watermark)/in.ApplyBatch + reads(item),
		Writes: transacted * (writes(item) + writes(s.watermark)/in.ApplyBatch),
	}
	return o.plus(Operation{Calls: 1, Reads: reads(s.tombstone), Writes: transacted * writes(s.tombstone)}.times(in.Creates))
}

func (s *sizes) applyProjection(in *Input) Operation {
	return s.applied(in, "apply a projection", s.projection)
}

// applyCopy also takes the idempotency record, which is not there before, and writes each look-up entry anew.
func (s *sizes) applyCopy(in *Input) Operation {
	return s.applied(in, "store a sealed copy", s.entity).plus(Operation{
		Calls: 1, Reads: 1, Writes: transacted * (writes(s.record) + in.Lookups*writes(s.lookup)),
	})
}

// prune reads the cursors, the counter and the outbox, and deletes what all destinations have, in a transaction when it is more than one
// record; a record that is alone costs half.
func (s *sizes) prune(batch float64) Operation {
	return Operation{
		Name: "prune an outbox record", Calls: 4 / batch,
		Reads: (reads(s.cursor) + reads(s.counter) + reads(batch*s.outbox)) / batch, Writes: transacted * writes(s.outbox),
	}
}

// write is an average write, read an average read at home, and readAway one at a replica.
func (o *Operations) write(in *Input) Operation {
	return o.Create.times(in.Creates).plus(o.Delete.times(in.Deletes)).plus(o.Update.times(1 - in.Creates - in.Deletes))
}

func (o *Operations) read(in *Input) Operation {
	return o.List.times(in.Lists).plus(o.Get.times(1 - in.Lists))
}

func (o *Operations) readAway(in *Input) Operation {
	return o.ListAway.times(in.Lists).plus(o.GetAway.times(1 - in.Lists)).plus(o.Token.times(in.Tokens))
}
