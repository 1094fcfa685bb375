package scenarios

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// private is in each user's personal data. It is sealed wherever it lawfully lies.
const private = "Private Name"

func forbidden() []byte { return encoded(&profilev1.User{GivenName: private}) }

// fact is a write of an entity that its home committed.
type fact struct {
	version ident.Version
	deleted bool
	// handle is what the write set, of no other write. The sealed part has a note of the same words.
	handle string
	// key is the idempotency key's hash, if it has one.
	key string
	// step is when.
	step int
}

func noteOf(handle string) string { return "note of " + handle }

// truth is what the homes committed, as their tables were told.
type truth struct {
	facts map[ident.TenantID]map[string][]fact
	// ids are the entities in the order of their creation.
	ids   map[ident.TenantID][]string
	heads map[ident.TenantID]*[ident.Lanes]ident.Seq
}

func newTruth() *truth {
	t := &truth{
		facts: make(map[ident.TenantID]map[string][]fact), ids: make(map[ident.TenantID][]string), heads: make(map[ident.TenantID]*[ident.Lanes]ident.Seq),
	}
	for _, id := range tenants() {
		t.facts[id], t.heads[id] = make(map[string][]fact), &[ident.Lanes]ident.Seq{}
	}
	return t
}

// committed takes note of the writes in a commit of a regional table.
func (t *truth) committed(r *region, c store.Commit) {
	values := make(map[store.Key]store.Op)
	for _, op := range c.Ops {
		values[op.Item.Key] = op
	}
	for _, op := range c.Ops {
		seq, outbox := keyspace.ParseOutbox(op.Item.Key.Sort)
		tenant, lane, ok := keyspace.ParseLane(op.Item.Key.Partition)
		if !outbox || !ok || op.Kind != store.Put {
			continue
		}
		var record storagev1.OutboxRecord
		if err := proto.Unmarshal(op.Item.Value, &record); err != nil {
			panic(err)
		}
		f := fact{version: op.Item.Version, deleted: record.GetDeleted(), key: string(record.GetIdempotencyHash()), step: r.w.stepNo}
		if !f.deleted {
			var stored storagev1.Entity
			var user profilev1.User
			item := values[keyspace.Entity(tenant, record.GetId())].Item
			if err := proto.Unmarshal(item.Value, &stored); err != nil {
				panic(err)
			}
			if err := proto.Unmarshal(stored.GetClear(), &user); err != nil {
				panic(err)
			}
			f.handle = user.GetHandle()
		}
		if seq != t.heads[tenant][lane]+1 {
			r.w.failf("lane %d of %s goes from %d to %d", lane, tenant, t.heads[tenant][lane], seq)
		}
		t.heads[tenant][lane] = seq
		if len(t.facts[tenant][record.GetId()]) == 0 {
			t.ids[tenant] = append(t.ids[tenant], record.GetId())
		}
		t.facts[tenant][record.GetId()] = append(t.facts[tenant][record.GetId()], f)
		r.w.notef("  commit: %s %s at %d/%d %s", tenant, short(record.GetId()), lane, seq, cond(f.deleted, "deleted", f.handle))
	}
}

// alive are the entities that are not deleted.
func (t *truth) alive(tenant ident.TenantID) (all []string) {
	for _, id := range t.ids[tenant] {
		if facts := t.facts[tenant][id]; !facts[len(facts)-1].deleted {
			all = append(all, id)
		}
	}
	return all
}

func cond(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// short is an id for people.
func short(id string) string { return id[max(0, len(id)-5):] }

// asOf is the index of the last fact at or before a position; -1 when there was none.
func asOf(facts []fact, at ident.Version) int {
	last := -1
	for i, f := range facts {
		if f.version.Compare(at) <= 0 {
			last = i
		}
	}
	return last
}

func exactly(facts []fact, v ident.Version) int {
	return slices.IndexFunc(facts, func(f fact) bool { return f.version == v && !f.deleted })
}

func byHandle(facts []fact, handle string) int {
	return slices.IndexFunc(facts, func(f fact) bool { return f.handle == handle && !f.deleted })
}

// items returns the entities' items of a table.
func items(table *memory, tenant ident.TenantID) map[string]store.Item {
	found := make(map[string]store.Item)
	for lane := range ident.Lane(ident.Lanes) {
		from, to := keyspace.Entities("", "")
		page, err := table.Query(context.Background(), store.Query{Partition: keyspace.Lane(tenant, lane), From: from, To: to})
		if err != nil || page.More {
			panic("a table cannot be read")
		}
		for _, item := range page.Items {
			found[strings.TrimPrefix(item.Key.Sort, keyspace.EntityPrefix)] = item
		}
	}
	return found
}

func (r *region) tableOf(feed replicationv1.Feed) *memory {
	if feed == replicationv1.Feed_FEED_STANDBY {
		return r.tables[regionalTable]
	}
	return r.tables[replicaTable]
}

// check looks at a region's copies: what they have is what the home wrote, and no watermark is ahead of it.
func (w *world) check(r *region) {
	for _, tenant := range tenants() {
		t, known := r.known.Tenant(tenant)
		grant := replication.GrantOf(theTopology(), t, r.index)
		for _, feed := range feeds() {
			if known && grant.Has(feed) {
				if err := w.checkCopy(r, tenant, theTopology().ID(t.Home), feed); err != nil {
					w.failf("%s, %s of %s: %v", r.id, feed, tenant, err)
				}
			}
		}
		if known && !theTopology().SameJurisdiction(t.Home, r.index) {
			w.checkAbroad(r, tenant)
		}
	}
}

// checkAbroad looks for what may never be abroad.
func (w *world) checkAbroad(r *region, tenant ident.TenantID) {
	for _, table := range []string{replicaTable, regionalTable} {
		for id, item := range items(r.tables[table], tenant) {
			if item.Tag.Class > store.ClassGlobal || bytes.Contains(item.Value, []byte(private)) {
				w.failf("%s holds more than GLOBAL of %s of %s", r.id, short(id), tenant)
			}
		}
	}
}

func (w *world) checkCopy(r *region, tenant ident.TenantID, origin ident.RegionID, feed replicationv1.Feed) error {
	marks, err := replication.ReadWatermarks(context.Background(), r.tableOf(feed), tenant, feed, origin)
	if err != nil {
		return err
	}
	held, facts := items(r.tableOf(feed), tenant), w.truth.facts[tenant]
	for id, item := range held {
		if len(facts[id]) == 0 || withheld(feed, item) {
			continue // What was made up, and is withheld; see checkAbroad.
		}
		i := exactly(facts[id], item.Version)
		if i < 0 {
			return fmt.Errorf("%s has version %v, under which the home wrote no state", short(id), item.Version)
		}
		if err := w.checkItem(r, tenant, feed, id, item, facts[id][i]); err != nil {
			return fmt.Errorf("%s at %v: %w", short(id), item.Version, err)
		}
		if lane := marks[keyspace.LaneOf(id)]; lane.Complete && lane.Highest < item.Version.Seq {
			return fmt.Errorf("%s is shown at %v, and the highest position of the lane is %d", short(id), item.Version, lane.Highest)
		}
	}
	for _, id := range w.truth.ids[tenant] {
		lane := marks[keyspace.LaneOf(id)]
		i := asOf(facts[id], lane.Watermark)
		if !lane.Complete || i < 0 {
			continue
		}
		was, last := facts[id][i], facts[id][len(facts[id])-1]
		item, here := held[id]
		switch {
		case was.deleted && here && !withheld(feed, item):
			return fmt.Errorf("%s was deleted at %v, the watermark is at %v, and it is here at %v", short(id), was.version, lane.Watermark, item.Version)
		case !was.deleted && here && item.Version.Compare(was.version) < 0:
			return fmt.Errorf("%s is at %v, and the watermark is at %v, where the home had %v", short(id), item.Version, lane.Watermark, was.version)
		case !was.deleted && !here && !last.deleted:
			return fmt.Errorf("%s is not here, and the watermark is at %v, where the home had %v", short(id), lane.Watermark, was.version)
		}
	}
	if feed == replicationv1.Feed_FEED_STANDBY {
		return w.checkRecords(r, tenant, marks)
	}
	return nil
}

func withheld(feed replicationv1.Feed, item store.Item) bool {
	var replica storagev1.Replica
	return feed == replicationv1.Feed_FEED_PROJECTIONS && proto.Unmarshal(item.Value, &replica) == nil && replica.GetWithheld()
}

// parts are the clear and the sealed part of a copy's item, and the scope that a projection says it has.
func parts(feed replicationv1.Feed, item store.Item) (open, sealed []byte, scope policyv1.Scope, err error) {
	if feed == replicationv1.Feed_FEED_STANDBY {
		var stored storagev1.Entity
		err = proto.Unmarshal(item.Value, &stored)
		return stored.GetClear(), stored.GetSealed(), policyv1.Scope_SCOPE_UNSPECIFIED, err
	}
	var replica storagev1.Replica
	err = proto.Unmarshal(item.Value, &replica)
	return replica.GetClear(), replica.GetSealed(), replica.GetScope(), err
}

// checkItem holds what a copy has of an entity against what the home wrote.
func (w *world) checkItem(r *region, tenant ident.TenantID, feed replicationv1.Feed, id string, item store.Item, f fact) error {
	inside := theTopology().SameJurisdiction(w.records[tenant].Home, r.index)
	open, sealed, scope, err := parts(feed, item)
	if err != nil {
		return err
	}
	want, bind := policyv1.Scope_SCOPE_GLOBAL, seal.Bind{Tenant: tenant, Type: keyspace.SealType(userEntity), ID: id}
	switch {
	case feed == replicationv1.Feed_FEED_STANDBY:
		want, bind.Type = policyv1.Scope_SCOPE_UNSPECIFIED, userEntity
	case inside:
		want = policyv1.Scope_SCOPE_JURISDICTION
	}
	if scope != want {
		return fmt.Errorf("its scope is %v", scope)
	}
	var user profilev1.User
	if err := proto.Unmarshal(open, &user); err != nil {
		return err
	}
	if user.GetHandle() != f.handle {
		return fmt.Errorf("it is %q, and was %q", user.GetHandle(), f.handle)
	}
	if !inside {
		return nil
	}
	plain, err := sealer{r}.Open(context.Background(), bind, sealed)
	if err != nil {
		return err
	}
	var guarded profilev1.User
	if err := proto.Unmarshal(plain, &guarded); err != nil {
		return err
	}
	if guarded.GetRegulatedNote() != noteOf(f.handle) || (guarded.GetGivenName() != "") != (feed == replicationv1.Feed_FEED_STANDBY) {
		return fmt.Errorf("its sealed part is of another state: %q", guarded.GetRegulatedNote())
	}
	return nil
}

// checkRecords looks whether the standby has the idempotency records of all that its watermarks passed, unless they are about to expire.
func (w *world) checkRecords(r *region, tenant ident.TenantID, marks replication.Watermarks) error {
	if !w.allRecords {
		return nil
	}
	at := w.regions[w.records[tenant].Home]
	for _, id := range w.truth.ids[tenant] {
		for _, f := range w.truth.facts[tenant][id] {
			lane := marks[keyspace.LaneOf(id)]
			if f.key == "" || !lane.Complete || lane.Watermark.Compare(f.version) < 0 {
				continue
			}
			key := idempotency.Key(tenant, [32]byte([]byte(f.key)))
			record, err := at.tables[regionalTable].Get(context.Background(), key)
			if err != nil || record.Expires.Before(w.now.Add(time.Hour)) {
				continue
			}
			if _, err := r.tables[regionalTable].Get(context.Background(), key); err != nil {
				return fmt.Errorf("the record of %s at %v is not here", short(id), f.version)
			}
		}
	}
	return nil
}

// checkEqual compares a region's copies with the homes, when everything has healed.
func (w *world) checkEqual(r *region) {
	for _, tenant := range tenants() {
		record := w.records[tenant]
		grant := replication.GrantOf(theTopology(), record, r.index)
		for _, feed := range feeds() {
			if grant.Has(feed) {
				w.checkFeed(r, tenant, feed)
			}
		}
	}
	for _, finding := range r.audited() {
		w.failf("an audit of %s finds: %s", r.id, finding)
	}
}

func (w *world) checkFeed(r *region, tenant ident.TenantID, feed replicationv1.Feed) {
	origin := w.regions[w.records[tenant].Home]
	held := items(r.tableOf(feed), tenant)
	for _, id := range w.truth.ids[tenant] {
		last := w.truth.facts[tenant][id][len(w.truth.facts[tenant][id])-1]
		item, here := held[id]
		delete(held, id)
		switch {
		case here && withheld(feed, item) && item.Version == last.version: // Until a newer version comes.
		case last.deleted && here:
			w.failf("%s, %s: %s of %s was deleted at %v, and is here at %v", r.id, feed, short(id), tenant, last.version, item.Version)
		case !last.deleted && (!here || item.Version != last.version):
			w.failf("%s, %s: %s of %s is at %v here, and at %v at home", r.id, feed, short(id), tenant, item.Version, last.version)
		}
	}
	for id := range held {
		w.failf("%s, %s: %s of %s was never at home", r.id, feed, id, tenant)
	}
	marks, err := replication.ReadWatermarks(context.Background(), r.tableOf(feed), tenant, feed, origin.id)
	if err != nil {
		w.failf("%v", err)
		return
	}
	if *w.truth.heads[tenant] == [ident.Lanes]ident.Seq{} {
		return // Nothing is told of a tenant that wrote nothing.
	}
	for lane, m := range marks {
		if !m.Complete || m.Watermark.Seq != w.truth.heads[tenant][lane] {
			w.failf("%s, %s: lane %d of %s is at %+v, and at home at %d", r.id, feed, lane, tenant, m, w.truth.heads[tenant][lane])
		}
	}
	if feed == replicationv1.Feed_FEED_STANDBY {
		w.checkLookups(r, origin, tenant)
	}
}

// checkLookups compares the lookup entries of a standby with the lookup items of the home.
func (w *world) checkLookups(r, origin *region, tenant ident.TenantID) {
	count := func(at *region, part string) (n int) {
		err := at.tables[regionalTable].Walk(context.Background(), func(item store.Item) error {
			if strings.HasPrefix(item.Key.Partition, "t/"+string(tenant)+part) {
				n++
			}
			return nil
		})
		if err != nil {
			w.failf("%v", err)
		}
		return n
	}
	if here, there := count(r, "/s/"), count(origin, "/u/"); here != there {
		w.failf("%s has %d lookup entries of %s, and its home has %d", r.id, here, tenant, there)
	}
}
