//go:build aws

package aws_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// bound is how long something that the platform promises within seconds may take with an emulator on a busy machine.
const bound = 60 * time.Second

// eventually asks again and again until there is nothing wrong.
func eventually(t testing.TB, what string, wrong func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := wrong()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s: %v", bound, what, err)
		case <-tick.C:
		}
	}
}

// runs counts the runs of ports that were handed out.
var runs atomic.Int64

// portRun is how many ports a platform gets.
const portRun = 50

// freeBase is a port from which on portRun ports were free a moment ago. They lie below those that systems give to outgoing connections, and no
// other test of this process gets them.
func freeBase(t testing.TB) int {
	t.Helper()
	const first, last = 10000, 30000
	for range (last - first) / portRun {
		base := first + (os.Getpid()+int(runs.Add(1)))%((last-first)/portRun)*portRun
		free := true
		for port := base; port < base+portRun && free; port++ {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
			if free = err == nil; free {
				_ = l.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no run of free ports")
	return 0
}

// The regions that tests call by name.
const (
	frankfurt = "eu-central-1"
	dublin    = "eu-west-1"
	virginia  = "us-east-1"
	oregon    = "us-west-2"
	singapore = "ap-southeast-1"
	saoPaulo  = "sa-east-1"
)

// Offsets of ports from the base of a topology: of the regions' services, and of their processes' operations.
const (
	servicesOffset   = 20
	operationsOffset = 30
)

// oneRegion is the text of a topology of Frankfurt alone.
func oneRegion(base int) string {
	return fmt.Sprintf(`regions:
  - {id: eu-central-1, place: Frankfurt, jurisdiction: EU, roles: [home, control], port: %d, latitude: 50.11, longitude: 8.68}
`, base+1)
}

// threeRegions is the text of a topology of Frankfurt with its standby Dublin, and Virginia, whose services are apart from their edges when asked.
func threeRegions(base int, apart bool) string {
	services := func(n int) string {
		if !apart {
			return ""
		}
		return fmt.Sprintf(", services_endpoint: \"http://127.0.0.1:%d\"", base+servicesOffset+n)
	}
	return fmt.Sprintf(`regions:
  - {id: eu-central-1, place: Frankfurt, jurisdiction: EU, roles: [home], standby: eu-west-1, witness: us-east-1, port: %d, latitude: 50.11, longitude: 8.68%s}
  - {id: eu-west-1, place: Dublin, jurisdiction: EU, roles: [standby], port: %d, latitude: 53.35, longitude: -6.26%s}
  - {id: us-east-1, place: Virginia, jurisdiction: US, roles: [home, control], port: %d, latitude: 39.04, longitude: -77.49%s}
`, base+1, services(1), base+2, services(2), base+3, services(3))
}

func parse(t testing.TB, text string) *topology.Topology {
	t.Helper()
	topo, err := topologyfile.Parse("topology.yaml", []byte(text))
	if err != nil {
		t.Fatalf("the topology: %v\n%s", err, text)
	}
	return topo
}

// output is what processes wrote.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all of it so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail are the last lines of it.
func (o *output) tail() string {
	lines := strings.Split(o.String(), "\n")
	return strings.Join(lines[max(len(lines)-40, 0):], "\n")
}
