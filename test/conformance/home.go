package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// startHome starts the reference server twice, for HTTP/1.1 and for HTTP/2, behind one port, as a home region has it: the reference
// server speaks only one at a time. Which it is shows in the first bytes of a connection; beyond that they are only copied.
func startHome(ctx context.Context, reference string, request []byte) (port int, stop func(), err error) {
	first, stopFirst, err := startReference(ctx, reference, request, httpVersion1)
	if err != nil {
		return 0, nil, err
	}
	second, stopSecond, err := startReference(ctx, reference, request, httpVersion2)
	if err != nil {
		stopFirst()
		return 0, nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		stopFirst()
		stopSecond()
		return 0, nil, fmt.Errorf("listening for both HTTP versions: %w", err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go pass(ctx, conn, first, second)
		}
	}()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, nil, errors.New("listening on no TCP address")
	}
	return address.Port, func() {
		_ = listener.Close()
		stopFirst()
		stopSecond()
	}, nil
}

// pass copies a connection to the server of its HTTP version, until either side ends it.
func pass(ctx context.Context, conn net.Conn, first, second int) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	const preface = "PRI" // RFC 9113, section 3.4
	begin, err := reader.Peek(len(preface))
	if err != nil {
		return
	}
	port := first
	if string(begin) == preface {
		port = second
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	forward := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from)
		ended <- struct{}{}
	}
	go forward(server, reader)
	go forward(conn, server)
	<-ended
	_ = server.Close()
}
