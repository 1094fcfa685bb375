package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// servicesCaller is what services are known by; functions are by their names.
const servicesCaller = "services"

// abroadAWS is the region whose edge is called; the tenant's home is home, as elsewhere, whose services alone run.
const abroadAWS = "sa-east-1"

// functionNames are the functions in the order of a call's life.
func functionNames() []string { return []string{"edge", "relay", "apply", "sweep"} }

// awsStack is a deployment of two regions over a cloud: the services of the one as a process, the functions of both.
type awsStack struct {
	cloud    *cloud
	options  options
	dir, key string
	ports    ports
	endpoint string
	server   *http.Server
	services *process
}

// Offsets of the ports of a deployment: of services, each with an operations port behind it, and of edges, of which the functions stand in for
// those that would listen there.
const (
	awsServicesPort  = 1
	awsElsewherePort = 3
	awsEdgePort      = 5
)

// startAWS packs the deployment's topology, opens the cloud, and builds the functions for this machine and for Lambda's own.
func startAWS(ctx context.Context, o options, dir string, stderr io.Writer) (*awsStack, error) {
	base, err := freeBase(ctx)
	if err != nil {
		return nil, err
	}
	s := &awsStack{cloud: newCloud(), options: o, dir: dir, ports: ports{base}}
	s.options.profiles = ""
	for _, arch := range []string{"", otherArch} {
		_, _ = fmt.Fprintln(stderr, "building the functions", arch)
		if err := s.build(ctx, arch); err != nil {
			return nil, err
		}
	}
	text := fmt.Sprintf(`regions:
  - {id: %s, place: Singapore, jurisdiction: SG, roles: [home, control], port: %d, services_endpoint: "http://%s"}
  - {id: %s, place: São Paulo, jurisdiction: BR, roles: [home], port: %d, services_endpoint: "http://%s"}
round_trip_times:
  - {between: [%s, %s], milliseconds: 300}
`, home, base+awsEdgePort, s.ports.at(awsServicesPort), abroadAWS, base+awsEdgePort+1, s.ports.at(awsElsewherePort), home, abroadAWS)
	topo, err := topologyfile.Parse("topology.yaml", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("reading the topology: %w", err)
	}
	packed, err := topology.Marshal(topo)
	if err != nil {
		return nil, fmt.Errorf("packing the topology: %w", err)
	}
	err = errors.Join(os.WriteFile(s.path("topology.yaml"), []byte(text), 0o600), os.WriteFile(s.path("topology.bin"), packed, 0o600))
	if err != nil {
		return nil, fmt.Errorf("writing the topology: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("opening the cloud: %w", err)
	}
	s.endpoint = "http://" + l.Addr().String()
	s.server = &http.Server{Handler: s.cloud, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }() // It ends with stop.
	return s, nil
}

func (s *awsStack) path(name string) string { return filepath.Join(s.dir, name) }

// otherArch is the architecture that functions are deployed for.
const otherArch = "arm64"

func (s *awsStack) binary(name, arch string) string {
	return filepath.Join(s.dir, "functions"+arch, name)
}

// build builds the functions as `make functions` does; an empty architecture is this machine's.
func (s *awsStack) build(ctx context.Context, arch string) error {
	args := append(make([]string, 0, 16), "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", s.binary("", arch)+"/")
	for _, name := range functionNames() {
		args = append(args, "github.com/domicile-api/domicile/functions/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // Programs of this module.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+arch)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the functions: %w: %s", err, out)
	}
	return nil
}

// startServices starts the home region's services, which know nothing yet of what is in the cloud.
func (s *awsStack) startServices(ctx context.Context) (err error) {
	if s.services, err = s.serve(ctx, home, awsServicesPort, "--demo"); err != nil {
		return err
	}
	demo, err := app.ReadDemoFile(s.path("data"))
	if err != nil {
		return fmt.Errorf("reading the demonstration's keys: %w", err)
	}
	for _, t := range demo.Tenants {
		if t.ID == caller {
			s.key = t.APIKey
		}
	}
	return s.settle(ctx)
}

// settle waits until the services have done what they do after a start, and ask for nothing but what they ask for each second.
func (s *awsStack) settle(ctx context.Context) error {
	const quiet, most = 500 * time.Millisecond, 20
	for range most {
		mark := s.cloud.mark()
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return fmt.Errorf("waiting for the services: %w", ctx.Err())
		}
		busy := slices.ContainsFunc(s.cloud.since(mark), func(c awsCall) bool {
			return c.service == dynamoDB && !strings.HasSuffix(c.table, directoryTable)
		})
		if !busy {
			return nil
		}
	}
	return errors.New("the services go on asking for items although nobody calls")
}

// introduce lets the services of the other region run once, so that its keys are known.
func (s *awsStack) introduce(ctx context.Context) error {
	p, err := s.serve(ctx, abroadAWS, awsElsewherePort)
	if err != nil {
		return err
	}
	return p.stop()
}

// serve starts the services of a region and returns when they are ready.
func (s *awsStack) serve(ctx context.Context, region string, port int, more ...string) (*process, error) {
	o := s.options
	for name, value := range environment(s.endpoint, region, servicesCaller) {
		o.env = append(o.env, name+"="+value)
	}
	operations := s.ports.at(port + 1)
	p, err := startProcess(ctx, o, "services of "+region, operations, "", append([]string{
		roleDomicile, "serve", "--backend", "aws", "--role", "services", "--region", region, "--topology", s.path("topology.yaml"),
		"--data", s.path("data"), "--port", portOf(s.ports.at(port)), "--operations-port", portOf(operations),
	}, more...)...)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, "http://"+operations+"/readyz"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // It was joined here.
	return port
}

// startFunction starts an instance of a function of a region.
func (s *awsStack) startFunction(ctx context.Context, name, region string) (*function, time.Duration, error) {
	env := environment(s.endpoint, region, name)
	env["DOMICILE_TOPOLOGY"] = s.path("topology.bin")
	return startFunction(ctx, s.binary(name, ""), "domicile-"+name, env)
}

// stopServices ends the services.
func (s *awsStack) stopServices() error {
	if s.services == nil {
		return nil
	}
	err := s.services.stop()
	s.services = nil
	return err
}

func (s *awsStack) stop() error { return errors.Join(s.stopServices(), s.server.Close()) }

// megabytes is the size of a function's binary, in MB of 10⁶ bytes.
func (s *awsStack) megabytes(name, arch string) (float64, error) {
	info, err := os.Stat(s.binary(name, arch))
	if err != nil {
		return 0, fmt.Errorf("looking at a binary: %w", err)
	}
	return float64(info.Size()) / 1e6, nil
}
