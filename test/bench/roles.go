package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"github.com/domicile-api/domicile/internal/cli"
	"github.com/domicile-api/domicile/services"
)

// The roles in which this binary starts itself again, so that what is measured runs in processes of its own.
const (
	roleDomicile = "domicile"
	roleProxy    = "plain-proxy"
)

// profileVariable names the file, without ending, that a process writes its profiles to.
const profileVariable = "DOMICILE_BENCH_PROFILE"

var roles = map[string]func(args []string) int{ //nolint:gochecknoglobals // An immutable table.
	roleDomicile: profiled(domicile),
	roleProxy:    profiled(plainProxy),
}

// domicile is cmd/domicile.
func domicile(args []string) int {
	return cli.Main(cli.Config{Name: "domicile", Services: services.All(), Stdout: os.Stdout, Stderr: os.Stderr, Env: os.LookupEnv}, args)
}

// profiled writes a CPU profile of all that the process did, and one of what it allocated, if it is asked to.
func profiled(role func([]string) int) func([]string) int {
	return func(args []string) int {
		path := os.Getenv(profileVariable)
		if path == "" {
			return role(args)
		}
		stop, err := startProfiles(path)
		if err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
		code := role(args)
		if err := stop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
		return code
	}
}

func startProfiles(path string) (stop func() error, err error) {
	runtime.MemProfileRate = 64 << 10
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil { //nolint:gosec // As below.
		return nil, fmt.Errorf("making the profiles' folder: %w", err)
	}
	cpu, err := os.Create(path + ".cpu") //nolint:gosec // The caller names the file.
	if err != nil {
		return nil, fmt.Errorf("making a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, fmt.Errorf("starting a profile: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := cpu.Close(); err != nil {
			return fmt.Errorf("writing a profile: %w", err)
		}
		allocs, err := os.Create(path + ".allocs") //nolint:gosec // The caller names the file.
		if err != nil {
			return fmt.Errorf("making a profile: %w", err)
		}
		defer func() { _ = allocs.Close() }()
		if err := pprof.Lookup("allocs").WriteTo(allocs, 0); err != nil {
			return fmt.Errorf("writing a profile: %w", err)
		}
		return nil
	}, nil
}
