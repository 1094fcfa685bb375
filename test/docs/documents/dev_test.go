//go:build docs

package documents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/app"
)

// root is the top of this repository.
const root = "../../.."

// tenant is the tests' own; no demonstration tenant is touched.
const tenant = "documents-eu"

// startTimeout bounds how long dev may take to be ready, on a busy machine.
const startTimeout = time.Minute

// binary builds the domicile command once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "domicile-documents-")
	if err != nil {
		return "", fmt.Errorf("making a folder for the binary: %w", err)
	}
	path := filepath.Join(dir, "domicile")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/domicile")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the domicile command: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // In the system's temporary folder; what stays does no harm.
	}
	os.Exit(code)
}

// installed is where tools.sh has installed what these tests run. It installs once.
var installed = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("./tools.sh").Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("tools.sh: %w\n%s", err, failed.Stderr)
	}
	return string(bytes.TrimSpace(out)), err
})

func tools(t testing.TB) string {
	t.Helper()
	path, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// dev is a running domicile dev with a tenant of the test's own.
type dev struct {
	binary, dir string
	base        int
	demo        app.DemoFile
	// tenantKey is a key of the tenant; spareKey is the id of another, for what revokes keys.
	tenantKey, spareKey string
}

// startDev runs domicile dev until the test ends.
func startDev(t *testing.T) *dev {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	d := &dev{binary: path, dir: t.TempDir(), base: freeBase(t)}
	cmd := exec.Command(path, "dev", "--data", d.dir, "--port-base", strconv.Itoa(d.base)) //nolint:noctx // It is stopped gently, below.
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // It may have ended, which Wait says.
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("dev: %v\n%.4000s", err, log)
		}
	})
	d.waitReady(t)
	if d.demo, err = app.ReadDemoFile(d.dir); err != nil {
		t.Fatal(err)
	}
	d.run(t, "tenants", "create", tenant, "--home", "eu-central-1", "--standby", "none", "--transit", "forward", "--projections", "none")
	_, d.tenantKey = d.newKey(t)
	d.spareKey, _ = d.newKey(t)
	return d
}

// url is the endpoint of the nth region of the default topology, from 1.
func (d *dev) url(region int) string { return fmt.Sprintf("http://127.0.0.1:%d", d.base+region) }

func (d *dev) waitReady(t *testing.T) {
	t.Helper()
	const operations, pause = 10, 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url(operations)+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			_ = answer.Body.Close() // Nothing of it is read.
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("dev is not ready within %v", startTimeout)
		case <-time.After(pause):
		}
	}
}

// run runs an operator's command.
func (d *dev) run(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), d.binary, append(args, "--data", d.dir)...).CombinedOutput()
	if err != nil {
		t.Fatalf("domicile %v: %v\n%s", args, err, out)
	}
	return out
}

func (d *dev) newKey(t *testing.T) (id, secret string) {
	t.Helper()
	var made struct {
		APIKey struct {
			ID string `json:"id"`
		} `json:"apiKey"` //nolint:tagliatelle // As protobuf's JSON has it.
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal(d.run(t, "keys", "create", tenant, "-o", "json"), &made); err != nil {
		t.Fatal(err)
	}
	return made.APIKey.ID, made.Secret
}

// taken is the last base that freeBase found: no two platforms of these tests get the same.
var taken atomic.Int64

// freeBase finds a run of free ports for a platform.
func freeBase(t *testing.T) int {
	t.Helper()
	const ports, last = 11, 65000
	first := firstBase(t)
search:
	for {
		base := first + int(taken.Add(ports)) - ports
		if base > last {
			t.Fatal("found no run of free ports")
		}
		for port := base; port < base+ports; port++ {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				continue search
			}
			_ = l.Close() // Never served.
		}
		return base
	}
}

// firstBase is where freeBase begins: DOMICILE_DOCS_PORT, or a port outside of those that systems give to clients.
func firstBase(t *testing.T) int {
	t.Helper()
	text := os.Getenv("DOMICILE_DOCS_PORT")
	if text == "" {
		return 21000
	}
	base, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("DOMICILE_DOCS_PORT: %v", err)
	}
	return base
}

// document is the absolute path of a committed document.
func document(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "openapi", "v1", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
