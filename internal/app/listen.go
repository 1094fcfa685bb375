package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// shutdownTimeout is how long open calls may take to end once the process was told to stop. With the time to close the
// stores it stays well below the 5 seconds after which an orchestrator would kill, on a busy machine too.
const shutdownTimeout = 2 * time.Second

// listener is a server on a port, opened before anything is announced so that a port in use is an error of the start.
type listener struct {
	name   string
	server *http.Server
	socket net.Listener
}

// listen opens a port. A port in use is refused with what to do.
func (c Config) listen(ctx context.Context, name string, port int, server *http.Server) (*listener, error) {
	open := c.Listen
	if open == nil {
		open = func(ctx context.Context, host string, port int) (net.Listener, error) {
			var lc net.ListenConfig
			return lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		}
	}
	socket, err := open(ctx, c.Host, port)
	if err != nil {
		return nil, fmt.Errorf("opening port %d for %s: %w; stop what uses it, or move all ports with --port-base", port, name, err)
	}
	return &listener{name: name, server: server, socket: socket}, nil
}

func (l *listener) serve() error {
	if err := l.server.Serve(l.socket); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", l.name, err)
	}
	return nil
}

// stop lets open calls end, then cuts the rest off.
func (l *listener) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := l.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = l.server.Close()
	}
	if err != nil {
		return fmt.Errorf("stopping %s: %w", l.name, err)
	}
	return nil
}
