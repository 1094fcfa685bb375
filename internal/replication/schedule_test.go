package replication

import (
	"context"
	"errors"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

// errKilled is what a process sees of the world after it was killed.
var errKilled = errors.New("the process was killed")

// process is one of several of a region. What it does stops before and after each effect, until the scheduler lets it go on or kills it.
type process struct {
	running bool
	dead    bool
	yielded chan bool // false: it has come to its end
	resume  chan bool // false: it is killed
	// committed hears of commits, if there is one.
	committed func(store.Commit)
}

// start begins something that the process does. It does nothing before its first step.
func (p *process) start(fn func()) {
	p.running, p.dead = true, false
	p.yielded, p.resume = make(chan bool), make(chan bool)
	go func() {
		if !<-p.resume {
			p.dead = true
		}
		fn()
		p.yielded <- false
	}()
}

// step lets the process go on to its next effect, or kills it.
func (p *process) step(kill bool) {
	p.resume <- !kill
	p.running = <-p.yielded
}

// yield waits for the scheduler. Outside of what start began, it does not.
func (p *process) yield() error {
	if p.dead {
		return errKilled
	}
	if !p.running {
		return nil
	}
	p.yielded <- true
	if !<-p.resume {
		p.dead = true
		return errKilled
	}
	return nil
}

// stepped is a table as a process sees it.
type stepped struct {
	store.Store

	p *process
	// blind are the conditions that this table does not look at: those of operations for which it returns true.
	blind func(store.Op) bool
}

// Get implements store.Store.
func (s stepped) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := s.p.yield(); err != nil {
		return store.Item{}, err
	}
	return s.Store.Get(ctx, key)
}

// Query implements store.Store.
func (s stepped) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.p.yield(); err != nil {
		return store.Page{}, err
	}
	return s.Store.Query(ctx, q)
}

// Commit implements store.Store. A process that is killed after it does not hear of it.
func (s stepped) Commit(ctx context.Context, c store.Commit) error {
	if err := s.p.yield(); err != nil {
		return err
	}
	if s.blind != nil {
		var ops []store.Op
		for _, op := range c.Ops {
			if s.blind(op) {
				if op.Kind == store.Check {
					continue
				}
				op.If = store.Always()
			}
			ops = append(ops, op)
		}
		c.Ops = ops
	}
	if len(c.Ops) > 0 {
		if err := s.Store.Commit(ctx, c); err != nil {
			return err
		}
		if s.p.committed != nil {
			s.p.committed(c)
		}
	}
	return s.p.yield()
}

// steppedSender is the network as a process sees it.
type steppedSender struct {
	net *network
	p   *process
}

// Send implements Sender.
func (s steppedSender) Send(ctx context.Context, to ident.RegionID, name string, messages []queue.Outgoing) ([]error, error) {
	if err := s.p.yield(); err != nil {
		return nil, err
	}
	failed, err := s.net.Send(ctx, to, name, messages)
	if err != nil {
		return nil, err
	}
	return failed, s.p.yield()
}
