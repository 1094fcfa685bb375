package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/app"
)

// process is a domicile process of its own.
type process struct {
	cmd    *exec.Cmd
	out    *bytes.Buffer
	exited chan error
	dir    string
	base   int
	name   string
}

// command is the domicile binary with arguments.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asBinary+"=1")
	return cmd
}

// runs counts the runs of ports that were handed out.
var runs atomic.Int64

// freeBase is a port base whose ports, up to the operations port of the last region, were all free a moment ago. It lies below the
// ports that systems give to outgoing connections, and no other test of this process gets it.
func freeBase(t *testing.T) int {
	t.Helper()
	const first, last, run = 10000, 30000, 20
	for range (last - first) / run {
		base := first + (os.Getpid()+int(runs.Add(1)))%((last-first)/run)*run
		free := true
		for port := base; port < base+run && free; port++ {
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

// startDev starts dev on a folder and waits until it is ready.
func startDev(t *testing.T, dir string, base int) *process {
	t.Helper()
	return start(t, command(context.Background(), "dev", "--data", dir, "--port-base", strconv.Itoa(base)), dir, base)
}

// start starts a command that runs dev and waits until it is ready.
func start(t *testing.T, cmd *exec.Cmd, dir string, base int) *process {
	t.Helper()
	p := &process{out: &bytes.Buffer{}, exited: make(chan error, 1), dir: dir, base: base, cmd: cmd}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	eventually(t, "dev is ready", func() bool {
		a, err := try(t.Context(), call{method: http.MethodGet, url: fmt.Sprintf("http://127.0.0.1:%d/readyz", base+10)})
		return err == nil && a.status == http.StatusOK
	})
	return p
}

func (p *process) url(region int) string { return fmt.Sprintf("http://127.0.0.1:%d", p.base+region) }

// end signals the process and waits for its end.
func (p *process) end(t *testing.T, sig syscall.Signal) error {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.exited:
		return err
	case <-time.After(bound):
		t.Fatalf("the process does not end on %v", sig)
		return nil
	}
}

func demoKeys(t *testing.T, dir string) map[string]string {
	t.Helper()
	demo, err := app.ReadDemoFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{"operator": demo.OperatorKey}
	for _, d := range demo.Tenants {
		keys[d.ID] = d.APIKey
	}
	return keys
}

// TestKillInTheMiddleOfCreates kills -9 in the middle of 1,000 creates and starts again: each acknowledged one is there, under the
// same keys, and each repetition with its idempotency key answers the same user.
func TestKillInTheMiddleOfCreates(t *testing.T) {
	t.Parallel()
	dir, base := t.TempDir(), freeBase(t)
	p := startDev(t, dir, base)
	keys := demoKeys(t, dir)
	const creates, writers = 1000, 16
	var acknowledged sync.Map
	var count atomic.Int64
	killed := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < creates; i += writers {
				a, err := try(context.Background(), create(p, keys["acme-eu"], i))
				if err != nil {
					return // The process is gone.
				}
				if a.status == http.StatusOK {
					acknowledged.Store(i, a.text("id"))
					if count.Add(1) == creates/2 {
						close(killed)
					}
				}
			}
		})
	}
	select {
	case <-killed:
	case <-time.After(3 * bound):
		t.Fatal("the creates do not come to their middle")
	}
	_ = p.end(t, syscall.SIGKILL)
	wg.Wait()
	p = startDev(t, dir, base)
	if again := demoKeys(t, dir); again["acme-eu"] != keys["acme-eu"] || again["operator"] != keys["operator"] {
		t.Fatal("the second start has other keys")
	}
	checkAcknowledged(t, p, keys["acme-eu"], &acknowledged)
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM ends the process with %v: %s", err, p.out)
	}
}

func create(p *process, key string, i int) call {
	return call{
		method: http.MethodPost, url: p.url(3) + "/v1/users", key: key, body: newUser(fmt.Sprintf("kill%04d", i)),
		header: map[string]string{"Idempotency-Key": fmt.Sprintf("kill-%d", i)},
	}
}

func checkAcknowledged(t *testing.T, p *process, key string, acknowledged *sync.Map) {
	t.Helper()
	n := 0
	acknowledged.Range(func(i, id any) bool {
		n++
		got := do(t, call{method: http.MethodGet, url: p.url(1) + "/v1/users/" + id.(string), key: key}).mustBe(t, http.StatusOK, "")
		if got.text("email") != fmt.Sprintf("kill%04d@example.com", i) {
			t.Errorf("user %d came back as another", i)
		}
		again := do(t, create(p, key, i.(int))).mustBe(t, http.StatusOK, "")
		if again.text("id") != id || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("create %d ran twice", i)
		}
		return !t.Failed()
	})
	if n < 500 {
		t.Errorf("only %d creates were acknowledged before the kill", n)
	}
}

// TestDataFolderHasOneHolder starts a second dev on a folder in use, and a third on the ports in use.
func TestDataFolderHasOneHolder(t *testing.T) {
	t.Parallel()
	dir, base := t.TempDir(), freeBase(t)
	p := startDev(t, dir, base)
	for name, c := range map[string]struct{ dir, base, want string }{
		"folder in use": {dir, strconv.Itoa(freeBase(t)), fmt.Sprintf("pid %d", p.cmd.Process.Pid)},
		"ports in use":  {t.TempDir(), strconv.Itoa(base), "--port-base"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		out, err := command(ctx, "dev", "--data", c.dir, "--port-base", c.base).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, without %q: %s", name, err, c.want, out)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "demo.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("demo.json: %v, %v", info.Mode(), err)
	}
}

// TestStopIsQuickUnderLoad stops dev with open calls.
func TestStopIsQuickUnderLoad(t *testing.T) {
	t.Parallel()
	dir, base := t.TempDir(), freeBase(t)
	p := startDev(t, dir, base)
	keys := demoKeys(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var answered atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := try(ctx, create(p, keys["acme-sg"], w*100000+i)); err == nil {
					answered.Add(1)
				}
			}
		})
	}
	eventually(t, "load runs", func() bool { return answered.Load() > 20 })
	begun := time.Now()
	if err := p.end(t, syscall.SIGINT); err != nil {
		t.Errorf("SIGINT under load ends with %v: %s", err, p.out)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	cancel()
	wg.Wait()
}
