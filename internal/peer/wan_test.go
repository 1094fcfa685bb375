package peer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const away = 100 * time.Millisecond

// distantConn returns both ends of a connection from Frankfurt to Virginia that is away.
func distantConn(t *testing.T, faults *peer.Faults) (near, far net.Conn) {
	t.Helper()
	near, far, err := dialDistant(t.Context(), faults)
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}

func dialDistant(ctx context.Context, faults *peer.Faults) (near, far net.Conn, err error) {
	inner, far := net.Pipe()
	dial := faults.Dial(frankfurt, func(address string) (ident.RegionID, bool) { return virginia, address == "virginia:80" })
	near, err = dial(func(context.Context, string, string) (net.Conn, error) { return inner, nil })(ctx, "tcp", "virginia:80")
	return near, far, err
}

func newFaults() *peer.Faults {
	return peer.NewFaults(peer.FaultsConfig{RoundTrip: func(ident.RegionID, ident.RegionID) time.Duration { return away }})
}

func TestDialIsDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		at := func(want time.Duration, what string) {
			t.Helper()
			if got := time.Since(begin); got != want {
				t.Errorf("%s after %s; want %s", what, got, want)
			}
		}
		near, far := distantConn(t, newFaults())
		at(away, "connected")
		buffer := make([]byte, 1<<20)
		// Bytes are late, not slow: a megabyte takes no longer than a byte.
		for _, n := range []int{1, 1 << 20} {
			begin = time.Now()
			go func() { _, _ = near.Write(buffer[:n]) }()
			if _, err := io.ReadFull(far, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			at(away/2, "there")
			go func() { _, _ = far.Write(buffer[:n]) }()
			if _, err := io.ReadFull(near, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			at(away, "back")
		}
		// What was sent before the end arrives, and then the end.
		begin = time.Now()
		_, _ = near.Write([]byte("last words"))
		if err := near.Close(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(far)
		if err != nil || string(rest) != "last words" {
			t.Errorf("%q, %v", rest, err)
		}
		at(away/2, "closed")
	})
}

func TestFarEndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := distantConn(t, newFaults())
		go func() {
			_, _ = far.Write([]byte("bye"))
			_ = far.Close()
		}()
		begin := time.Now()
		rest, err := io.ReadAll(near)
		if err != nil || string(rest) != "bye" || time.Since(begin) != away/2 {
			t.Errorf("%q, %v after %s", rest, err, time.Since(begin))
		}
		if near.RemoteAddr() == nil || near.LocalAddr() == nil || near.Close() != nil {
			t.Error("not a connection")
		}
	})
}

func TestDialDuringAPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faults := newFaults()
		faults.Partition(virginia)
		begin := time.Now()
		_, _, err := dialDistant(t.Context(), faults)
		var timeout net.Error
		if !errors.Is(err, peer.ErrUnreachable) || !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(begin) != peer.GiveUp {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := dialDistant(ctx, faults); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up by its caller: %v", err)
		}
		// One that ends soon is only a delay.
		time.AfterFunc(time.Second, faults.Heal)
		begin = time.Now()
		near, far := distantConn(t, faults)
		if got := time.Since(begin); got < time.Second || got > time.Second+away {
			t.Errorf("connected after %s", got)
		}
		_, _ = near.Close(), far.Close()
		time.Sleep(away) // of the bubble's time: the end is on its way too
	})
}

func TestConnectionDuringAPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faults := newFaults()
		near, far := distantConn(t, faults)
		faults.Cut(frankfurt, virginia)
		time.AfterFunc(time.Second, faults.Heal)
		begin := time.Now()
		_, _ = near.Write([]byte("held"))
		got := make([]byte, 4)
		if _, err := io.ReadFull(far, got); err != nil || string(got) != "held" || time.Since(begin) != time.Second {
			t.Errorf("%q, %v after %s", got, err, time.Since(begin))
		}
		faults.Partition(frankfurt)
		begin = time.Now()
		_, _ = near.Write([]byte("lost"))
		if n, err := near.Read(got); err == nil || n > 0 || time.Since(begin) != away/2+peer.GiveUp {
			t.Errorf("%d bytes, %v after %s", n, err, time.Since(begin))
		}
		if rest, _ := io.ReadAll(far); len(rest) > 0 {
			t.Errorf("%q came through a partition", rest)
		}
	})
}

// An HTTP client works over it, and addresses that are no region's are left alone.
func TestDialHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	message := topologyfile.Default().Proto()
	message.GetRegions()[0].Endpoint = server.URL
	top, err := topologyfile.New(message)
	if err != nil {
		t.Fatal(err)
	}
	regionOf := peer.Addresses(top)
	if region, ok := regionOf(strings.TrimPrefix(server.URL, "http://")); region != frankfurt || !ok {
		t.Errorf("the server is %q, %v", region, ok)
	}
	if _, ok := regionOf("127.0.0.1:1"); ok {
		t.Error("an address of no region")
	}
	faults := peer.NewFaults(peer.FaultsConfig{RoundTrip: func(ident.RegionID, ident.RegionID) time.Duration { return 4 * time.Millisecond }})
	transport := &http.Transport{DialContext: faults.Dial(virginia, regionOf)((&net.Dialer{}).DialContext)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, size := range []int{10, 1 << 20} {
		begin := time.Now()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || len(body) != size || time.Since(begin) < 4*time.Millisecond || answer.Body.Close() != nil {
			t.Errorf("%d bytes of %d, %v after %s", len(body), size, err, time.Since(begin))
		}
	}
}
