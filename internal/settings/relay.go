package settings

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
)

// Tenants is what is read of the directory.
type Tenants interface {
	// Kept tells whether settings of a tenant may be kept: the directory has the tenant, and it is not purged.
	Kept(tenant ident.TenantID) bool
	// Each calls fn with every tenant that Kept is true of, until fn fails, whose error it then returns.
	Each(ctx context.Context, fn func(ident.TenantID) error) error
}

// RelayConfig is what a Relay needs.
type RelayConfig struct {
	// Settings are what is told.
	Settings *Settings
	// Destinations are all other regions: settings are GLOBAL, and every region has all of them.
	Destinations []ident.RegionID
	// Sender reaches the destinations' queues.
	Sender replication.Sender
	// Tenants is the directory.
	Tenants Tenants
	// Clock gives the time of marks, and Jitter numbers from 0 to 1, e.g. of math/rand/v2.Float64.
	Clock  func() time.Time
	Jitter func() float64
	// Rand is a source of randomness, to name this process's sendings.
	Rand io.Reader
	// Parallel is how many tenants are sent to a destination at a time. Default 8.
	Parallel int
	// Page is how many positions are read and sent between two moves of a cursor. Default 20: each is told with a whole namespace.
	Page int
	// MaxBacklog is how many positions of a tenant wait for a destination before it is marked lost. Default 100,000.
	MaxBacklog uint64
	// SweepInterval is how often outboxes are pruned. Default 5 s.
	SweepInterval time.Duration
}

// Relay tells other regions what this one wrote. A position is told to each of them at least once, with its namespace as it is then or
// later; one that cannot be reached delays no other, and is told later, or is told that it must fetch what it missed. All methods are
// safe for concurrent use.
type Relay struct {
	cfg RelayConfig
	to  []*destination
	// process names this process's sendings: what another process has sent may be sent again.
	process string

	mu sync.Mutex
	// known are the tenants of which the region keeps settings, as far as it was seen; prunable those of which something was sent.
	known, prunable map[ident.TenantID]struct{}
	scanBell        chan struct{}
}

// destination is another region.
type destination struct {
	id   ident.RegionID
	work *work
}

// NewRelay returns the relay of a region. It does nothing until it is run or stepped.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	if cfg.Settings == nil || cfg.Sender == nil || cfg.Tenants == nil || cfg.Clock == nil || cfg.Jitter == nil || cfg.Rand == nil {
		return nil, errors.New("settings: a relay needs Settings, Sender, Tenants, Clock, Jitter and Rand")
	}
	var name [6]byte
	if _, err := io.ReadFull(cfg.Rand, name[:]); err != nil {
		return nil, fmt.Errorf("naming the relay: %w", err)
	}
	cfg.Parallel, cfg.Page = orDefault(cfg.Parallel, 8), min(orDefault(cfg.Page, 20), store.MaxPage)
	cfg.MaxBacklog, cfg.SweepInterval = orDefault(cfg.MaxBacklog, 100_000), orDefault(cfg.SweepInterval, 5*time.Second)
	r := &Relay{
		cfg: cfg, process: hex.EncodeToString(name[:]), known: make(map[ident.TenantID]struct{}),
		prunable: make(map[ident.TenantID]struct{}), scanBell: make(chan struct{}, 1),
	}
	for _, id := range cfg.Destinations {
		r.to = append(r.to, &destination{id: id, work: newWork()})
	}
	return r, nil
}

func orDefault[T int | uint64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// Ring takes in a batch of the settings table's change feed. An empty batch makes the relay look at every tenant. It never fails and never
// blocks for long.
func (r *Relay) Ring(changes []store.Change) {
	if len(changes) == 0 {
		select {
		case r.scanBell <- struct{}{}:
		default: // It rings already.
		}
		return
	}
	now := r.cfg.Clock()
	for _, c := range changes {
		tenant, ok := keyspace.ParseSettings(c.Key.Partition)
		if !ok || c.Deleted {
			continue
		}
		r.note(tenant)
		if _, ok := keyspace.ParseOutbox(c.Key.Sort); !ok {
			continue
		}
		for _, d := range r.to {
			d.work.mark(tenant, 1, now)
		}
	}
}

func (r *Relay) note(tenant ident.TenantID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[tenant] = struct{}{}
}

// Look makes the relay look at a tenant, whose record has changed.
func (r *Relay) Look(tenant ident.TenantID) {
	now := r.cfg.Clock()
	for _, d := range r.to {
		d.work.mark(tenant, 0, now)
	}
}

// Answers says that a destination was reached just now, e.g. by a heartbeat. One that was left alone because it did not answer is tried
// again at once.
func (r *Relay) Answers(to ident.RegionID) {
	for _, d := range r.to {
		if d.id == to {
			d.work.answers()
		}
	}
}

// Known returns the tenants of which the region keeps settings, as far as the relay has seen.
func (r *Relay) Known() []ident.TenantID {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]ident.TenantID, 0, len(r.known))
	for tenant := range r.known {
		if !r.cfg.Tenants.Kept(tenant) {
			delete(r.known, tenant)
			continue
		}
		all = append(all, tenant)
	}
	return all
}

// Scan looks at every tenant of the directory.
func (r *Relay) Scan(ctx context.Context) error {
	return r.cfg.Tenants.Each(ctx, func(tenant ident.TenantID) error {
		has, err := r.cfg.Settings.has(ctx, tenant)
		if err != nil || !has {
			return err
		}
		r.note(tenant)
		r.Look(tenant)
		return ctx.Err()
	})
}

// Status says of every destination what it has not been sent.
func (r *Relay) Status() []replication.Destination {
	all := make([]replication.Destination, 0, len(r.to))
	for _, d := range r.to {
		s := replication.Destination{Region: d.id}
		s.Events, s.Oldest, s.Lost, s.Failure = d.work.backlog()
		all = append(all, s)
	}
	return all
}

// unreachableError says that sending failed, so that the destination is to be left alone for a while.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return "sending: " + e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

// Step sends a page of one tenant's stream to a destination. It returns false when nothing of it may be tried now. An error is also kept for
// Status, and the tenant is tried again later.
func (r *Relay) Step(ctx context.Context, to ident.RegionID) (bool, error) {
	for _, d := range r.to {
		if d.id != to {
			continue
		}
		tenant, ok, _ := d.work.take(r.cfg.Clock())
		if !ok {
			return false, nil
		}
		return true, r.settle(ctx, d, tenant)
	}
	return false, fmt.Errorf("settings: region %q is no destination", to)
}

// settle tries a tenant that was taken and gives it back.
func (r *Relay) settle(ctx context.Context, d *destination, tenant ident.TenantID) error {
	more, err := r.send(ctx, d, tenant)
	r.mu.Lock()
	r.prunable[tenant] = struct{}{} // Also one of which nothing was sent may have become so: its cursor was lost.
	r.mu.Unlock()
	if errors.Is(err, errChanged) {
		more, err = true, nil // Another process sends as well.
	}
	if err != nil {
		_, unreachable := errors.AsType[*unreachableError](err)
		d.work.failed(tenant, err, unreachable, r.cfg.Clock(), r.cfg.Jitter())
		return err
	}
	d.work.done(tenant, more)
	return nil
}

// send sends the next page of a tenant's stream and then moves its cursor; more says that there may be another.
func (r *Relay) send(ctx context.Context, d *destination, tenant ident.TenantID) (more bool, err error) {
	s := r.cfg.Settings
	if !r.cfg.Tenants.Kept(tenant) {
		d.work.progress(tenant, 0, time.Time{}, false)
		return false, nil // It is looked at when its record comes.
	}
	c, err := s.cursor(ctx, tenant, d.id)
	if err != nil {
		return false, err
	}
	// The end is read before the outbox: what is not in that and not after the end was pruned.
	end, err := s.end(ctx, tenant, nil)
	if err != nil {
		return false, err
	}
	positions, more, err := s.Outbox(ctx, tenant, c.seq(), r.cfg.Page)
	if err != nil {
		return false, err
	}
	begins := end.version.Seq
	if len(positions) > 0 {
		begins = positions[0].Seq - 1
	}
	if begins > c.seq() {
		// The outbox no longer goes on where the cursor stands.
		return true, r.sendOpen(ctx, d, tenant, c, begins)
	}
	if len(positions) == 0 {
		d.work.progress(tenant, 0, time.Time{}, c.lost)
		return false, nil
	}
	missing := uint64(max(end.version.Seq, positions[len(positions)-1].Seq) - c.seq())
	if missing > r.cfg.MaxBacklog && !c.lost {
		if err := s.move(ctx, tenant, c, c.seq(), true); err != nil {
			return false, err
		}
	}
	d.work.progress(tenant, missing, positions[0].CommitTime, c.lost)
	sent, err := r.sendPage(ctx, d, tenant, positions)
	if sent > c.seq() {
		missing -= uint64(sent - c.seq())
		if err := errors.Join(s.move(ctx, tenant, c, sent, false), err); err != nil {
			return false, err
		}
		d.work.progress(tenant, missing, time.Time{}, false)
	}
	return more, err
}

// sendOpen tells a destination after which position the outbox begins, and sets the cursor on it.
func (r *Relay) sendOpen(ctx context.Context, d *destination, tenant ident.TenantID, c *cursor, at ident.Seq) error {
	e := r.event(tenant, at)
	e.What = &replicationv1.Event_Open{Open: &replicationv1.Open{}}
	m, err := r.message(e)
	if err != nil {
		return err
	}
	if _, err := r.put(ctx, d, []queue.Outgoing{m}); err != nil {
		return err
	}
	return r.cfg.Settings.move(ctx, tenant, c, at, false)
}

// sendPage sends positions in their order and returns the last that was accepted with all before it; 0 when none was.
func (r *Relay) sendPage(ctx context.Context, d *destination, tenant ident.TenantID, positions []Position) (sent ident.Seq, err error) {
	var batch []queue.Outgoing
	size, first := 0, 0
	flush := func() error {
		n, err := r.put(ctx, d, batch)
		if n > 0 {
			sent = positions[first+n-1].Seq
		}
		batch, size, first = nil, 0, first+n
		return err
	}
	for _, p := range positions {
		m, err := r.tell(ctx, tenant, p)
		if err != nil {
			return sent, err
		}
		if len(batch) == queue.MaxBatch || len(batch) > 0 && size+len(m.Body) > queue.MaxMessageBytes {
			if err := flush(); err != nil {
				return sent, err
			}
		}
		batch, size = append(batch, m), size+len(m.Body)
	}
	return sent, flush()
}

// tell makes the message of a position: its namespace as it is now.
func (r *Relay) tell(ctx context.Context, tenant ident.TenantID, p Position) (queue.Outgoing, error) {
	state, err := r.cfg.Settings.Tell(ctx, tenant, p.Namespace)
	if err != nil {
		return queue.Outgoing{}, err
	}
	value, err := encode(state)
	if err != nil {
		return queue.Outgoing{}, err
	}
	e := r.event(tenant, p.Seq)
	e.CommitTime = timestamppb.New(p.CommitTime)
	e.What = &replicationv1.Event_Settings{Settings: &replicationv1.Settings{Namespace: p.Namespace, State: value}}
	return r.message(e)
}

// event is a position of the region's stream, without what it says.
func (r *Relay) event(tenant ident.TenantID, seq ident.Seq) *replicationv1.Event {
	return &replicationv1.Event{
		Stream: streamOf(tenant, r.cfg.Settings.cfg.Region), Epoch: uint64(Epoch), Seq: uint64(seq), CommitTime: timestamppb.New(r.cfg.Clock()),
	}
}

// streamOf is the stream of a region's settings of a tenant.
func streamOf(tenant ident.TenantID, origin ident.RegionID) *replicationv1.Stream {
	return &replicationv1.Stream{Tenant: string(tenant), Feed: replicationv1.Feed_FEED_SETTINGS, Origin: string(origin)}
}

func (r *Relay) message(e *replicationv1.Event) (queue.Outgoing, error) {
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
	if err != nil {
		return queue.Outgoing{}, err
	}
	group, part := replication.GroupOf(e.GetStream()), "0"
	if e.GetOpen() != nil {
		part = "o"
	}
	name := group + "." + strconv.FormatUint(e.GetEpoch(), 16) + "." + strconv.FormatUint(e.GetSeq(), 16) + "." + part + "." + r.process
	return queue.Outgoing{Group: group, Deduplication: name, Body: body}, nil
}

func encode(m proto.Message) ([]byte, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding settings: %w", err)
	}
	return value, nil
}

// put sends messages and returns how many, from the first, were accepted.
func (r *Relay) put(ctx context.Context, d *destination, batch []queue.Outgoing) (accepted int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	failed, err := r.cfg.Sender.Send(ctx, d.id, replication.QueueEvents, batch)
	if err == nil && len(failed) > 0 && len(failed) != len(batch) {
		err = errors.New("settings: a queue answered for other messages than it was sent")
	}
	if err != nil {
		return 0, refused(err)
	}
	for i := range batch {
		if len(failed) > 0 && failed[i] != nil {
			return i, refused(failed[i])
		}
	}
	return len(batch), nil
}

// refused says whose fault it is that a queue did not accept a message.
func refused(err error) error {
	if errors.Is(err, queue.ErrTooLarge) || errors.Is(err, queue.ErrInvalid) {
		return fmt.Errorf("settings: a message was refused: %w", err)
	}
	return &unreachableError{err}
}
