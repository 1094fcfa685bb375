package scenarios

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/replication"
)

// client is a client that carries its tokens through all regions.
type client struct {
	name   string
	tokens map[ident.TenantID][]string
	// etags are of the last versions that it saw of entities.
	etags map[string]seen
}

type seen struct {
	etag    string
	version ident.Version
}

// kind is what a client does to an entity.
type kind string

const (
	create kind = "create"
	update kind = "update"
	remove kind = "delete"
	read   kind = "read"
)

// op is a mutation that a client wants, and repeats under its idempotency key until it knows what became of it.
type op struct {
	n      int
	client *client
	tenant ident.TenantID
	kind   kind
	id     string
	handle string
	email  string
	// only, if it is set, is the version that it is to change.
	only   seen
	begun  time.Time
	called int
	// flights are the attempts under way.
	flights int
	// returned is when it was first answered, and outcome what with.
	returned int
	refused  errorsv1.Reason
	acked    bool
	version  ident.Version
	over     bool
}

func (o *op) String() string {
	return fmt.Sprintf("op %d (%s %s %s)", o.n, o.kind, o.tenant, cond(o.kind == create, o.handle, short(o.id)))
}

// attempt is one call of an op at the tenant's home. Its three steps are those of the interceptor of repetitions: a look for a
// stored answer, the mutation, and before a failure leaves another look.
type attempt struct {
	op   *op
	edge *region
	at   *region
	ctx  context.Context
	c    *call.Call
	// floor is what the answer's token must cover.
	floor ident.Positions
	step  int
	begun int
	err   error
	user  *profilev1.User
}

// newOp has a client begin something.
func (w *world) newOp() {
	c := w.clients[w.draw(len(w.clients))]
	tenant := tenants()[w.drawOf(4, 1)]
	w.ops++
	o := &op{n: w.ops, client: c, tenant: tenant, kind: create, handle: fmt.Sprintf("h%d", w.ops), begun: w.now, called: w.stepNo}
	// Few addresses, so that one is taken, freed and taken again.
	o.email = fmt.Sprintf("u%d@example.org", w.draw(6))
	if alive := w.truth.alive(tenant); len(alive) > 11 || len(alive) > 0 && w.draw(100) < 72 {
		o.id = alive[w.draw(len(alive))]
		if all := w.truth.ids[tenant]; w.draw(8) == 0 {
			o.id = all[w.draw(len(all))]
		}
		o.kind = update
		if w.draw(4) == 0 {
			o.kind = remove
		}
		if known, ok := c.etags[o.id]; ok && w.draw(2) == 0 {
			o.only = known
		}
	}
	w.pending = append(w.pending, o)
	w.launch(o)
}

// launch begins an attempt through some region's edge.
func (w *world) launch(o *op) {
	edge, at := w.regions[w.draw(len(w.regions))], w.regions[w.records[o.tenant].Home]
	if !edge.up || !at.up || !w.net.passes(edge, at) {
		return
	}
	a := &attempt{op: o, edge: edge, at: at}
	a.c = w.callOf(o.tenant, edge, at)
	key := fmt.Sprintf("key %d", o.n)
	if w.off.record {
		w.keys++
		key = fmt.Sprintf("no key %d", w.keys)
	}
	a.c.Operation = &call.Operation{KeyHash: sha256.Sum256([]byte(key)), RequestHash: sha256.Sum256([]byte(o.String()))}
	w.keyOf[string(a.c.Operation.KeyHash[:])] = o.n
	a.ctx = call.With(context.Background(), a.c)
	o.flights++
	w.attempts = append(w.attempts, a)
	w.notef("%s: %s begins at %s", o.client.name, o, edge.id)
}

func (w *world) callOf(tenant ident.TenantID, edge, at *region) *call.Call {
	t := w.records[tenant]
	return &call.Call{
		Tenant: tenant, Epoch: t.Epoch, Home: theTopology().ID(t.Home), Jurisdiction: theTopology().Jurisdiction(t.Home),
		Region: at.id, Edge: edge.id, Principal: call.Principal{Kind: call.TenantKey, KeyID: "k"},
	}
}

// advance makes an attempt's next step.
func (w *world) advance(i int) {
	a := w.attempts[i]
	a.step++
	switch a.step {
	case 1:
		headers := w.headers(a.op.client, a.op.tenant)
		if a.floor, a.err = a.at.tokens.Floor(a.ctx, a.c, headers); a.err != nil {
			w.failf("the home refuses a token: %v", a.err)
		}
		found, err := w.look(a)
		if found || err != nil {
			a.err = err
			w.answer(i)
		}
	case 2:
		a.begun = w.stepNo // What comes of it is decided from here on.
		a.user, a.err = w.mutate(a)
		if a.err == nil || w.off.look {
			w.answer(i)
		}
	default:
		if found, _ := w.look(a); found {
			a.err = nil
		}
		w.answer(i)
	}
}

// look looks for the answer of an earlier attempt.
func (w *world) look(a *attempt) (bool, error) {
	raw, found, err := a.at.records.Replay(a.ctx, a.c)
	if err != nil || !found {
		return false, err
	}
	a.user = &profilev1.User{}
	return true, proto.Unmarshal(raw, a.user)
}

func (w *world) mutate(a *attempt) (*profilev1.User, error) {
	itself := func(u *profilev1.User) *profilev1.User { return u }
	o, users := a.op, a.at.users
	switch o.kind {
	case create:
		return entity.Create(a.ctx, users, &profilev1.User{
			GivenName: private, FamilyName: private, Email: o.email, Locale: "de-DE", Handle: o.handle, RegulatedNote: noteOf(o.handle),
		}, itself)
	case update:
		return entity.Update(a.ctx, users, o.id, entity.Change[*profilev1.User]{Etag: o.only.etag, Apply: func(u *profilev1.User) error {
			u.Handle, u.RegulatedNote = o.handle, noteOf(o.handle)
			return nil
		}}, itself)
	default:
		return entity.Delete(a.ctx, users, o.id, o.only.etag, itself)
	}
}

// took tells whether an op has taken effect, and how often and as which version.
func (w *world) took(o *op) (times int, version ident.Version) {
	for _, id := range w.truth.ids[o.tenant] {
		for _, f := range w.truth.facts[o.tenant][id] {
			if w.keyOf[f.key] == o.n {
				times++
				version = f.version
			}
		}
	}
	return times, version
}

// committedAt is the step in which an op took effect.
func (w *world) committedAt(o *op) int {
	for _, facts := range w.truth.facts[o.tenant] {
		for _, f := range facts {
			if w.keyOf[f.key] == o.n {
				return f.step
			}
		}
	}
	return w.stepNo
}

// answer has the answer of an attempt go back to its client, who may not get it.
func (w *world) answer(i int) {
	a := w.attempts[i]
	w.attempts = append(w.attempts[:i:i], w.attempts[i+1:]...)
	o := a.op
	o.flights--
	times, version := w.took(o)
	if times > 1 {
		w.failf("%s took effect %d times", o, times)
	}
	token, covered := a.at.tokens.Cover(a.c, a.floor)
	reason := fault.ReasonOf(a.err)
	switch {
	case a.err == nil && (times == 0 || a.c.Committed == nil):
		w.failf("%s is answered, and did not take effect", o)
	case definite(reason) && times > 0:
		w.failf("%s is answered with %s, and took effect at %v", o, reason, version)
	}
	if !w.net.passes(a.at, a.edge) || w.net.bad > 0 && w.draw(100) < w.net.bad {
		w.notef("%s: the answer to %s is lost (%v)", o.client.name, o, a.err)
		return
	}
	w.notef("%s: %s is answered: %v", o.client.name, o, cond(a.err == nil, fmt.Sprint(version), fmt.Sprint(a.err)))
	if a.err != nil && !definite(reason) {
		return
	}
	if o.over {
		return // It knows already.
	}
	o.over, o.returned = true, w.stepNo
	if a.err != nil {
		o.refused, o.called = reason, a.begun // No other attempt had an effect, so it is this one that the answer is about.
		return
	}
	o.acked, o.version = true, version
	if !covered {
		w.failf("%s is answered without a token", o)
	}
	o.client.keep(o.tenant, token, w.draw(3) == 0)
	if o.id == "" {
		o.id = a.user.GetId()
	}
	if o.kind != remove {
		o.client.etags[o.id] = seen{a.user.GetEtag(), version}
	}
}

// definite tells whether a failure says that nothing took effect.
func definite(r errorsv1.Reason) bool {
	switch r {
	case errorsv1.Reason_REASON_NOT_FOUND, errorsv1.Reason_REASON_ETAG_MISMATCH, errorsv1.Reason_REASON_ALREADY_EXISTS,
		errorsv1.Reason_REASON_INVALID_ARGUMENT:
		return true
	default:
		return false
	}
}

// dropAttempts ends the attempts at a region that has crashed.
func (w *world) dropAttempts(at *region) {
	w.attempts = slices.DeleteFunc(w.attempts, func(a *attempt) bool {
		if at == nil || a.at == at {
			a.op.flights--
			return true
		}
		return false
	})
}

// keep takes a token; with a few others, as clients that cannot merge them do.
func (c *client) keep(tenant ident.TenantID, token string, alone bool) {
	if token == "" {
		return
	}
	if alone { // It covers those that were sent.
		c.tokens[tenant] = nil
	}
	c.tokens[tenant] = append(c.tokens[tenant], token)
	if n := len(c.tokens[tenant]); n > consistency.MaxTokens {
		c.tokens[tenant] = c.tokens[tenant][n-consistency.MaxTokens:]
	}
}

func (w *world) headers(c *client, tenant ident.TenantID) http.Header {
	h := http.Header{consistency.HeaderMaxWait: {"0"}}
	for _, token := range c.tokens[tenant] {
		h.Add(consistency.Header, token)
	}
	return h
}

// floors are the positions that a client's tokens cover.
func (w *world) floors(c *client, tenant ident.TenantID) ident.Positions {
	codec, err := consistency.NewCodec(consistency.CodecConfig{Keys: tokenKey{}})
	if err != nil {
		panic(err)
	}
	p, err := codec.Needed(tenant, w.headers(c, tenant), consistency.History{Present: 1})
	if err != nil {
		w.failf("a token of the platform is refused: %v", err)
	}
	return p
}

// read has a client read something somewhere, and holds what it is shown against what it has seen.
func (w *world) read() {
	c := w.clients[w.draw(len(w.clients))]
	tenant := tenants()[w.drawOf(4, 1)]
	edge := w.regions[w.draw(len(w.regions))]
	ids := w.truth.ids[tenant]
	if !edge.up || len(ids) == 0 {
		return
	}
	list, record := w.draw(4) == 0, w.draw(4) == 0
	id := ids[w.draw(len(ids))]
	home := w.regions[w.records[tenant].Home]
	at := edge
	if edge != home {
		t, known := edge.known.Tenant(tenant)
		grant := replication.GrantOf(theTopology(), t, edge.index)
		admitted := false
		if known && grant.Has(feeds()[0]) {
			var err error
			if admitted, err = edge.gate.Admit(context.Background(), tenant, t, w.headers(c, tenant)); err != nil {
				w.failf("the gate of %s fails: %v", edge.id, err)
			}
		}
		if !admitted {
			at = home
		}
	}
	if w.show(c, tenant, edge, at, id, list, record) {
		return
	}
	if at != home { // It could not answer after all.
		w.show(c, tenant, edge, home, id, list, record)
	}
}

// show answers a read at a region; false if it could not.
func (w *world) show(c *client, tenant ident.TenantID, edge, at *region, id string, list, record bool) bool {
	if !at.up || !w.net.passes(edge, at) || !w.net.passes(at, edge) {
		return true // Nobody answers.
	}
	called := w.callOf(tenant, edge, at)
	ctx := call.With(context.Background(), called)
	floor, err := at.tokens.Floor(ctx, called, w.headers(c, tenant))
	if err != nil {
		w.failf("%s refuses a token: %v", at.id, err)
		return true
	}
	found := make(map[string]*profilev1.UserRecord)
	if list {
		err = w.listed(ctx, at, found)
	} else {
		err = w.got(ctx, at, id, record, found)
	}
	if called.NotHere {
		return false
	}
	missing := fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND)
	if err != nil && !missing {
		return true
	}
	before := w.floors(c, tenant)
	token, _ := at.tokens.Cover(called, floor)
	c.keep(tenant, token, w.draw(3) == 0)
	after := w.floors(c, tenant)
	w.notef("%s reads %s of %s at %s: %d found", c.name, cond(list, "all", short(id)), tenant, at.id, len(found))
	for _, each := range w.truth.ids[tenant] {
		if list || each == id {
			w.judge(at, tenant, each, found[each], record && !list, before, after)
		}
		if u := found[each]; u != nil {
			facts := w.truth.facts[tenant][each]
			if i := byHandle(facts, u.GetHandle()); i >= 0 {
				c.etags[each] = seen{u.GetEtag(), facts[i].version}
			}
		}
	}
	if at.index == w.records[tenant].Home && !list {
		w.reads = append(w.reads, observed{step: w.stepNo, tenant: tenant, id: id, handle: found[id].GetHandle()})
	}
	return true
}

func (w *world) got(ctx context.Context, at *region, id string, record bool, found map[string]*profilev1.UserRecord) error {
	if record {
		u, err := entity.GetProjection[*profilev1.UserRecord](ctx, at.users, id)
		if err == nil {
			found[id] = u
		}
		return err
	}
	u, err := entity.GetProjection[*profilev1.UserSummary](ctx, at.users, id)
	if err == nil {
		found[id] = &profilev1.UserRecord{Id: u.GetId(), Handle: u.GetHandle(), Etag: u.GetEtag()}
	}
	return err
}

func (w *world) listed(ctx context.Context, at *region, found map[string]*profilev1.UserRecord) error {
	page, next, err := entity.ListProjections[*profilev1.UserSummary](ctx, at.users, entity.Page{Size: 1000})
	if err == nil && next != "" {
		w.failf("a list of everything has another page")
	}
	for _, u := range page {
		found[u.GetId()] = &profilev1.UserRecord{Id: u.GetId(), Handle: u.GetHandle(), Etag: u.GetEtag()}
	}
	return err
}

// judge holds one entity as a client was shown it (nil: not) against the positions that its tokens covered before and cover after.
func (w *world) judge(at *region, tenant ident.TenantID, id string, u *profilev1.UserRecord, record bool, before, after ident.Positions) {
	facts, lane := w.truth.facts[tenant][id], keyspace.LaneOf(id)
	least := asOf(facts, ident.Version{Epoch: 1, Seq: before.Lanes[lane]})
	if u == nil {
		if least >= 0 && !slices.ContainsFunc(facts[least:], func(f fact) bool { return f.deleted }) {
			w.failf("%s shows nothing of %s, which a client has seen at %v", at.id, short(id), facts[least].version)
		}
		return
	}
	i := byHandle(facts, u.GetHandle())
	switch {
	case i < 0:
		w.failf("%s shows %q of %s, which was never written", at.id, u.GetHandle(), short(id))
	case i < least:
		w.failf("%s shows %s at %v to a client that has seen %v", at.id, short(id), facts[i].version, facts[least].version)
	case after.Lanes[lane] < facts[i].version.Seq:
		w.failf("%s shows %s at %v under a token of position %d", at.id, short(id), facts[i].version, after.Lanes[lane])
	case record && u.GetRegulatedNote() != noteOf(u.GetHandle()):
		w.failf("%s shows %s with the note of another state", at.id, short(id))
	}
}
