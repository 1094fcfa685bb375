package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

const (
	// giveUp is how long a connection that gets nothing through a partition lasts, and how long one is tried to be opened: about what a
	// sender's TCP is told where calls are short.
	giveUp = 3 * time.Second
	// inFlight is how many pieces of a direction may be on their way at once; more than a long way at a gigabit a second needs.
	inFlight  = 2048
	pieceSize = 32 << 10
)

// Dial wraps how a region opens connections to others, so that they are as far away as the network says and meet its partitions. It
// is what edge.Config.Dial and ConnectConfig.Dial take. What is sent is late by half the round trip in each direction, and in
// no way slower. A partition lets nothing through and says nothing; a connection or an attempt that it lasts too long for (3 s) is
// given up. Disturbances are not for connections, which see to order and loss by themselves.
//
// regionOf tells which region an address is of; others are dialled as they are.
func (f *Faults) Dial(source ident.RegionID, regionOf func(address string) (ident.RegionID, bool)) func(DialFunc) DialFunc {
	return func(next DialFunc) DialFunc {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			destination, ok := regionOf(address)
			if !ok || destination == source {
				return next(ctx, network, address)
			}
			begin := time.Now()
			for _, r := range []route{{source, destination}, {destination, source}} {
				if err := f.pass(ctx, r); err != nil {
					return nil, &net.OpError{Op: "dial", Net: network, Err: err}
				}
			}
			inner, err := next(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// The handshake is a round trip; what the real one took counts.
			if err := pause(ctx, f.roundTrip(source, destination)-time.Since(begin)); err != nil {
				return nil, errors.Join(&net.OpError{Op: "dial", Net: network, Err: err}, inner.Close())
			}
			return newDistant(f, route{source, destination}, inner), nil
		}
	}
}

// Addresses returns what tells a region by the host and port that others call it at.
func Addresses(t *topology.Topology) func(address string) (ident.RegionID, bool) {
	regions := make(map[string]ident.RegionID, t.Len())
	for _, i := range t.Regions() {
		endpoint, err := url.Parse(t.Services(i))
		if err != nil {
			continue // The topology has checked it.
		}
		port := endpoint.Port()
		switch {
		case port != "":
		case endpoint.Scheme == "https":
			port = "443"
		default:
			port = "80"
		}
		regions[net.JoinHostPort(strings.ToLower(endpoint.Hostname()), port)] = t.ID(i)
	}
	return func(address string) (ident.RegionID, bool) {
		region, ok := regions[strings.ToLower(address)]
		return region, ok
	}
}

// pass returns when something gets through in a direction, or fails when it was tried for too long.
func (f *Faults) pass(ctx context.Context, r route) error {
	blocked, changed := f.blocked(r.source, r.destination)
	if !blocked {
		return nil
	}
	timer := time.NewTimer(giveUp)
	defer timer.Stop()
	for blocked {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return stalled(r)
		case <-changed:
		}
		blocked, changed = f.blocked(r.source, r.destination)
	}
	return nil
}

// stalled says that nothing got through in a direction for too long. To net.OpError it is a time-out.
type stalled route

// Error implements error.
func (s stalled) Error() string {
	return fmt.Sprintf("%v: %s from %s", ErrUnreachable, s.destination, s.source)
}

// Timeout implements net.Error's part that counts.
func (stalled) Timeout() bool { return true }

// Unwrap implements the interface of errors.Is.
func (stalled) Unwrap() []error { return []error{ErrUnreachable, os.ErrDeadlineExceeded} }

// distant is a connection whose other end is far away. Its user has one end of a pipe; two goroutines for each direction carry
// what is at the pipe's other end to the real connection and back.
type distant struct {
	net.Conn // the user's end

	faults *Faults
	far    net.Conn
	inner  net.Conn
	ctx    context.Context //nolint:containedctx // lives as long as the connection
	cancel context.CancelFunc
	once   sync.Once
}

// piece is some bytes, and when they arrive.
type piece struct {
	data []byte
	at   time.Time
}

func newDistant(f *Faults, r route, inner net.Conn) *distant {
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	d := &distant{Conn: near, faults: f, far: far, inner: inner, ctx: ctx, cancel: cancel}
	go d.carry(r, far, inner, false)
	go d.carry(route{r.destination, r.source}, inner, far, true)
	return d
}

// LocalAddr implements net.Conn.
func (d *distant) LocalAddr() net.Addr { return d.inner.LocalAddr() }

// RemoteAddr implements net.Conn.
func (d *distant) RemoteAddr() net.Addr { return d.inner.RemoteAddr() }

// shut ends both directions at once.
func (d *distant) shut() {
	d.once.Do(func() {
		d.cancel()
		// Whoever has closed an end already has no use for an error.
		_, _ = d.far.Close(), d.inner.Close()
	})
}

// carry takes one direction's bytes to their end, in order, each piece as late as the network makes it. What was sent before the end
// still arrives, and then the end, which shuts the connection.
func (d *distant) carry(r route, from io.Reader, to io.Writer, incoming bool) {
	defer d.shut()
	pieces := make(chan piece, inFlight)
	go d.collect(r, from, pieces)
	for p := range pieces {
		if pause(d.ctx, time.Until(p.at)) != nil || d.faults.pass(d.ctx, r) != nil {
			return
		}
		if len(p.data) == 0 {
			continue
		}
		if _, err := to.Write(p.data); err == nil {
			continue
		}
		if !incoming {
			return
		}
		// The user has closed its end: nobody wants the rest, but what it had sent is still on its way.
		to = io.Discard
	}
}

// collect reads what is sent until there is no more; the end is a piece too, which has nothing in it.
func (d *distant) collect(r route, from io.Reader, pieces chan<- piece) {
	defer close(pieces)
	buffer := make([]byte, pieceSize)
	for {
		n, err := from.Read(buffer)
		p := piece{data: append([]byte(nil), buffer[:n]...), at: time.Now().Add(d.faults.oneWay(r.source, r.destination))}
		select {
		case pieces <- p:
		case <-d.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}
