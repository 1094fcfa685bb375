package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

// sample is what one cell gave in one round.
type sample struct {
	calls     int
	elapsed   time.Duration
	latencies []time.Duration // sorted
	// between is what the process on the way used, and service what the home's did.
	between, service usage
}

func (s sample) perSecond() float64 { return float64(s.calls) / s.elapsed.Seconds() }

// quantile is a latency in microseconds.
func (s sample) quantile(q float64) float64 {
	if len(s.latencies) == 0 {
		return 0
	}
	at := min(int(q*float64(len(s.latencies))), len(s.latencies)-1)
	return float64(s.latencies[at]) / float64(time.Microsecond)
}

// worker makes one call after another.
type worker interface {
	call(ctx context.Context) error
	io.Closer
}

// load calls as often as it can on a number of connections for a while. Each worker waits for an answer before its next call.
func load(ctx context.Context, workers []worker, d time.Duration) (sample, error) {
	latencies := make([][]time.Duration, len(workers))
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	begin := time.Now()
	end := begin.Add(d)
	for i, w := range workers {
		wg.Go(func() {
			for at := time.Now(); at.Before(end); {
				if errs[i] = w.call(ctx); errs[i] != nil {
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], now.Sub(at))
				at = now
			}
		})
	}
	wg.Wait()
	s := sample{elapsed: time.Since(begin), latencies: slices.Concat(latencies...)}
	for _, err := range errs {
		if err != nil {
			return s, err
		}
	}
	s.calls = len(s.latencies)
	slices.Sort(s.latencies)
	return s, nil
}

// http1Worker has one connection.
type http1Worker struct {
	io.ReadWriteCloser

	protocol, operation string
	writer              writer
	reader              *bufio.Reader
}

func (w *http1Worker) call(context.Context) error {
	request, err := w.writer.request(w.protocol, w.operation)
	if err != nil {
		return err
	}
	if _, err := w.Write(request); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	_, err = readAnswer(w.reader)
	return err
}

// grpcWorker is one of several that share a few HTTP/2 connections, as the callers in one client process do.
type grpcWorker struct {
	operation string
	writer    writer
	client    profilev1connect.ProfileServiceClient
	transport *http.Transport
}

func (w *grpcWorker) call(ctx context.Context) error {
	ctx, info := connect.NewClientContext(ctx)
	header := info.RequestHeader()
	header.Set("Authorization", "Bearer "+w.writer.key)
	header.Set("Domicile-Tenant", caller)
	if w.operation == operationGet {
		_, err := w.client.GetUser(ctx, &profilev1.GetUserRequest{Id: w.writer.user()})
		return err
	}
	name := w.writer.serial.next()
	header.Set("Idempotency-Key", name)
	_, err := w.client.CreateUser(ctx, &profilev1.CreateUserRequest{User: newUser(name)})
	return err
}

// Close implements io.Closer.
func (w *grpcWorker) Close() error {
	w.transport.CloseIdleConnections()
	return nil
}

// callersPerConnection is how many gRPC callers share a connection.
const callersPerConnection = 8

// newWorkers connects.
func newWorkers(ctx context.Context, s *stack, c cell, users []string, n *serial) ([]worker, error) {
	workers := make([]worker, 0, c.conns)
	var transport *http.Transport
	for i := range c.conns {
		w := writer{key: s.key, serial: n, users: users, next: i * len(users) / c.conns}
		if c.protocol == protocolGRPC {
			if i%callersPerConnection == 0 {
				transport = newHTTPTransport(true)
			}
			client := profilev1connect.NewProfileServiceClient(&http.Client{Transport: transport}, "http://"+c.way.address, connect.WithGRPC())
			workers = append(workers, &grpcWorker{operation: c.operation, writer: w, client: client, transport: transport})
			continue
		}
		conn, err := dial(ctx, c.way.address)
		if err != nil {
			return workers, err
		}
		workers = append(workers, &http1Worker{
			ReadWriteCloser: conn, protocol: c.protocol, operation: c.operation, writer: w, reader: bufio.NewReader(conn),
		})
	}
	return workers, nil
}
