// Command conformance is a "server under test" for the Connect conformance suite: the suite's own reference server, with an edge of
// Domicile in front of it that forwards every call. What passes directly must pass through the edge.
//
// The suite starts it, writes a ServerCompatRequest to its standard input and reads a ServerCompatResponse from its standard
// output, both behind their length in four bytes. run.sh beside it does the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/domicile-api/domicile/internal/rpc"
)

func main() {
	reference := flag.String("reference", "referenceserver", "the suite's reference server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *reference)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, reference string) error {
	request, err := readMessage(os.Stdin)
	if err != nil {
		return fmt.Errorf("reading the suite's request: %w", err)
	}
	port, stop, err := startHome(ctx, reference, request)
	if err != nil {
		return err
	}
	defer stop()
	handler, err := newEdge(port)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return errors.New("listening on no TCP address")
	}
	server := rpc.NewServer(rpc.ServerConfig{Handler: handler, Logger: logger()})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := writeMessage(os.Stdout, compatResponse("127.0.0.1", address.Port)); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(ending); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}
