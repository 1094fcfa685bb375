package pebblestore

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/domicile-api/domicile/internal/store"
)

// A group is bounded so that its batch stays small against the memtable. A commit that is larger goes alone.
const (
	maxGroupBytes    = 1 << 20
	maxGroupRequests = 512
)

// groupsInFlight is how many groups may be applied and not yet synced, besides the one being synced. A group is evaluated
// while those before it go to disk; all that are applied during a sync share the next one.
const groupsInFlight = 16

// committer puts commits on disk. One goroutine takes the waiting commits as a group, evaluates their conditions one after
// the other against the engine and what the group has so far, and applies what holds as one batch. Another waits for the
// batch's sync and only then answers. So the order of groups, and of commits in a group, is the serial order.
type committer struct {
	db    *DB
	space *space

	mu      sync.Mutex
	waiting []*request
	closed  bool
	bell    chan struct{}

	groups  chan *group
	drained chan struct{}
	eval    evaluator
	number  uint64
}

// group is what goes to disk together.
type group struct {
	number   uint64
	requests []*request
	// batch is nil when the group writes nothing.
	batch *pebble.Batch
}

func startCommitter(db *DB, s *space) *committer {
	c := &committer{
		db: db, space: s, bell: make(chan struct{}, 1), groups: make(chan *group, groupsInFlight), drained: make(chan struct{}),
		eval: newEvaluator(db),
	}
	go c.evaluateLoop()
	go c.syncLoop()
	return c
}

// submit queues a request; the outcome comes by its done channel.
func (c *committer) submit(r *request) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return store.ErrClosed
	}
	c.waiting = append(c.waiting, r)
	c.mu.Unlock()
	c.ring()
	return nil
}

func (c *committer) ring() {
	select {
	case c.bell <- struct{}{}:
	default: // It rings already.
	}
}

// close refuses new requests and returns when those accepted are answered, or the engine failed.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.ring()
	select {
	case <-c.drained:
	case <-c.db.fuse.blown:
	}
}

// take returns the next group's requests, or nil when the committer is closed and nothing waits.
func (c *committer) take() []*request {
	for {
		c.mu.Lock()
		if n, bytes := 0, 0; len(c.waiting) > 0 {
			for n < len(c.waiting) && n < maxGroupRequests && (n == 0 || bytes+c.waiting[n].bytes <= maxGroupBytes) {
				bytes += c.waiting[n].bytes
				n++
			}
			taken := append([]*request(nil), c.waiting[:n]...)
			left := copy(c.waiting, c.waiting[n:])
			clear(c.waiting[left:])
			c.waiting = c.waiting[:left]
			c.mu.Unlock()
			return taken
		}
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return nil
		}
		<-c.bell
	}
}

func (c *committer) evaluateLoop() {
	defer close(c.groups)
	for requests := c.take(); requests != nil; requests = c.take() {
		g := &group{number: c.number + 1, requests: requests}
		if !c.form(g) {
			return
		}
		c.groups <- g
	}
}

// form evaluates the group and applies its batch. It reports false when the engine failed.
func (c *committer) form(g *group) (ok bool) {
	defer func() {
		// The engine panics where its log cannot be written.
		if p := recover(); p != nil {
			c.db.blow(fmt.Errorf("applying a group of commits: %v", p))
			ok = false
		}
	}()
	c.eval.begin(g, c.space.admit(groupBytes(g.requests)))
	for _, r := range g.requests {
		c.eval.evaluate(r)
	}
	if g.batch == nil {
		return true
	}
	c.number = g.number
	if err := c.db.engine.ApplyNoSyncWait(g.batch, pebble.Sync); err != nil {
		c.db.blow(fmt.Errorf("applying a group of commits: %w", err))
		return false
	}
	return true
}

func groupBytes(requests []*request) int {
	n := 0
	for _, r := range requests {
		n += r.bytes
	}
	return n
}

// syncLoop answers the groups in their order. A group that writes nothing is answered after those before it all the same: its
// refusals tell of what they wrote.
func (c *committer) syncLoop() {
	defer close(c.drained)
	for g := range c.groups {
		if g.batch != nil {
			if err := g.batch.SyncWait(); err != nil {
				c.db.blow(fmt.Errorf("syncing a group of commits: %w", err))
				return
			}
			c.db.unsynced.end(g.number)
			if err := g.batch.Close(); err != nil {
				c.db.blow(fmt.Errorf("closing a batch: %w", err))
				return
			}
		}
		c.answer(g)
	}
}

func (c *committer) answer(g *group) {
	var changes []store.Change
	for _, r := range g.requests {
		if r.err == nil && r.table.feed.listening() {
			changes = r.changes(changes[:0])
			r.table.feed.publish(changes)
		}
		r.done <- struct{}{}
	}
}

func (db *DB) blow(err error) {
	(&engineLogger{log: db.cfg.Logger, fuse: db.fuse}).blow(err)
}
