package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// cell is one thing that is measured in each round.
type cell struct {
	protocol, operation string
	way                 way
	conns               int
}

func (c cell) id() cellID { return cellID{c.protocol, c.operation, c.way.name, c.conns} }

// cellID names a cell.
type cellID struct {
	protocol, operation, way string
	conns                    int
}

// cells has the samples of all rounds, in their order.
type cells map[cellID][]sample

// kinds are what is called, by protocol and operation.
func kinds() (all [][2]string) {
	for _, protocol := range []string{protocolREST, protocolConnect, protocolGRPC} {
		for _, operation := range []string{operationCreate, operationGet} {
			all = append(all, [2]string{protocol, operation})
		}
	}
	return all
}

// measure calls in rounds. In each round the ways of one kind of call follow each other, and begin with another one than in the round
// before, so that what is compared ran within a second or two and none has the better place.
func measure(ctx context.Context, o options, s *stack, stderr io.Writer) (cells, error) {
	users, err := seedUsers(ctx, s.ways[0].address, s.key, seeded)
	if err != nil {
		return nil, err
	}
	m := measurement{stack: s, users: users, serial: newSerial()}
	all := cells{}
	for round := -1; round < o.rounds; round++ { // The first one warms up.
		_, _ = fmt.Fprintf(stderr, "round %d of %d\n", round+1, o.rounds)
		for _, kind := range kinds() {
			for _, conns := range []int{1, o.conns} {
				for i := range s.ways {
					c := cell{kind[0], kind[1], s.ways[(i+max(round, 0))%len(s.ways)], conns}
					d := o.round
					if round < 0 {
						d /= 2
					}
					sampled, err := m.sample(ctx, c, d)
					if err != nil {
						return nil, fmt.Errorf("%s %s by %s: %w", c.protocol, c.operation, c.way.name, err)
					}
					if round >= 0 {
						all[c.id()] = append(all[c.id()], sampled)
					}
				}
			}
		}
	}
	return all, nil
}

type measurement struct {
	stack  *stack
	users  []string
	serial *serial
}

// sample measures a cell once.
func (m measurement) sample(ctx context.Context, c cell, d time.Duration) (s sample, err error) {
	workers, err := newWorkers(ctx, m.stack, c, m.users, m.serial)
	defer func() {
		for _, w := range workers {
			err = errors.Join(err, w.Close())
		}
	}()
	if err != nil {
		return s, err
	}
	for _, w := range workers { // Connections are opened before the clock runs.
		if err := w.call(ctx); err != nil {
			return s, err
		}
	}
	between, service, err := m.usage(ctx, c.way)
	if err != nil {
		return s, err
	}
	if s, err = load(ctx, workers, d); err != nil {
		return s, err
	}
	between2, service2, err := m.usage(ctx, c.way)
	s.between = usage{between2.cpuSeconds - between.cpuSeconds, between2.mallocs - between.mallocs}
	s.service = usage{service2.cpuSeconds - service.cpuSeconds, service2.mallocs - service.mallocs}
	return s, err
}

func (m measurement) usage(ctx context.Context, w way) (between, service usage, err error) {
	if w.process != nil {
		if between, err = w.process.usage(ctx); err != nil {
			return between, service, err
		}
	}
	service, err = m.stack.service.usage(ctx)
	return between, service, err
}
