//go:build linux

package lambdahost_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

// gate is a server that instances call and that keeps them until it is opened.
type gate struct {
	*httptest.Server

	// arrived gets a value for each call, gone one for each whose instance has died.
	arrived, gone chan struct{}
	open          chan struct{}
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 100), gone: make(chan struct{}, 100), open: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.arrived <- struct{}{}
		select {
		case <-g.open:
		case <-r.Context().Done():
			g.gone <- struct{}{}
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		<-time.After(time.Millisecond)
	}
}

// state is the letter that /proc/PID/stat has for a process.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "gone"
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return after[:1]
}

// thread is a thread of a process: its state and the nanoseconds that it has run.
type thread struct {
	id, state, ran string
}

// threads reads /proc/PID/task.
func threads(t *testing.T, pid int) (all []thread) {
	t.Helper()
	folders, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(folders) == 0 {
		t.Fatalf("the process %d: %v", pid, err)
	}
	for _, folder := range folders {
		stat, err := os.ReadFile(filepath.Join(folder, "stat"))
		if err != nil {
			t.Fatal(err)
		}
		schedule, err := os.ReadFile(filepath.Join(folder, "schedstat"))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		all = append(all, thread{id: filepath.Base(folder), state: after[:1], ran: strings.Fields(string(schedule))[0]})
	}
	return all
}

func TestInstancesAreFrozen(t *testing.T) {
	t.Parallel()
	f := newFunction(t, lambdahost.Config{Timeout: 20 * time.Second})
	first := invoke(t, f, event{Op: "tick"})
	eventually(t, "it is not stopped", func() bool {
		return !slices.ContainsFunc(threads(t, first.PID), func(th thread) bool { return th.state != "T" })
	})
	before := threads(t, first.PID)
	<-time.After(300 * time.Millisecond) // In which its ticker would tick 300 times.
	if diff := cmp.Diff(before, threads(t, first.PID), cmp.AllowUnexported(thread{})); diff != "" {
		t.Errorf("it ran while it was frozen: %s", diff)
	}
	second := invoke(t, f, event{})
	if second.PID != first.PID {
		t.Error("another instance answered")
	}
	if third := invoke(t, f, event{Op: "tick"}); third.Ticks <= second.Ticks {
		t.Errorf("%d ticks, then %d: it makes no progress when thawed", second.Ticks, third.Ticks)
	}
}

func TestConcurrentInstances(t *testing.T) {
	t.Parallel()
	const instances = 3
	f := newFunction(t, lambdahost.Config{Timeout: 30 * time.Second, MaxConcurrency: instances})
	g := newGate(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	pids := map[int]bool{}
	for range instances {
		wg.Go(func() {
			a, err := tryInvoke(t, f, event{Op: "call", URL: g.URL})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			pids[a.PID] = true
		})
	}
	for range instances {
		await(t, g.arrived)
	}
	for range 5 {
		if _, err := tryInvoke(t, f, event{}); !errors.Is(err, lambdahost.ErrThrottled) {
			t.Errorf("one more than %d: %v, want ErrThrottled", instances, err)
		}
	}
	close(g.open)
	wg.Wait()
	if len(pids) != instances {
		t.Errorf("%d instances, want %d", len(pids), instances)
	}
	// The same instances serve what comes later.
	for range 2 * instances {
		if a := invoke(t, f, event{}); !pids[a.PID] {
			t.Errorf("a new instance %d, where %v are idle", a.PID, pids)
		}
	}
}

func TestManyCallers(t *testing.T) {
	t.Parallel()
	const instances, callers, calls = 4, 16, 25
	f := newFunction(t, lambdahost.Config{Timeout: 30 * time.Second, MaxConcurrency: instances})
	var mu sync.Mutex
	pids, answered, throttled := map[int]int{}, 0, 0
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				a, err := tryInvoke(t, f, event{})
				mu.Lock()
				switch {
				case err == nil:
					answered++
					pids[a.PID] = max(pids[a.PID], a.Invocations)
				case errors.Is(err, lambdahost.ErrThrottled):
					throttled++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	served := 0
	for _, n := range pids {
		served += n
	}
	if len(pids) > instances || served != answered || answered+throttled != callers*calls || answered == 0 {
		t.Errorf("%d instances for %d answers (%d seen by them), %d throttled", len(pids), answered, served, throttled)
	}
}

func TestInstanceThatDiedIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFunction(t, lambdahost.Config{Timeout: 20 * time.Second})
	first := invoke(t, f, event{})
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not reaped", func() bool { return state(first.PID) == "gone" })
	if second := invoke(t, f, event{}); second.PID == first.PID {
		t.Error("a dead instance answered")
	}
}

func TestIdleInstancesEnd(t *testing.T) {
	t.Parallel()
	f := newFunction(t, lambdahost.Config{Timeout: 20 * time.Second, IdleTimeout: 50 * time.Millisecond})
	first := invoke(t, f, event{})
	eventually(t, "it goes on", func() bool { return state(first.PID) == "gone" })
	if second := invoke(t, f, event{}); second.PID == first.PID {
		t.Error("an ended instance answered")
	}
}

func TestCloseLeavesNoProcess(t *testing.T) {
	t.Parallel()
	var out logs
	f := newFunction(t, lambdahost.Config{Timeout: 30 * time.Second, Logs: &out})
	g := newGate(t)
	failed := make(chan error, 1)
	go func() {
		_, err := tryInvoke(t, f, event{Op: "call", URL: g.URL})
		failed <- err
	}()
	await(t, g.arrived)
	idle := invoke(t, f, event{})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(idle.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the idle instance after Close: %v, want ESRCH", err)
	}
	if err := await(t, failed); !errors.Is(err, lambdahost.ErrClosed) {
		t.Errorf("an invocation during Close: %v, want ErrClosed", err)
	}
	await(t, g.gone)
	if _, err := tryInvoke(t, f, event{}); !errors.Is(err, lambdahost.ErrClosed) {
		t.Errorf("an invocation after Close: %v, want ErrClosed", err)
	}
}

// A caller that goes does not stop the function.
func TestInvocationOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	f := newFunction(t, lambdahost.Config{Timeout: 30 * time.Second, MaxConcurrency: 1})
	g := newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.arrived
		cancel()
	}()
	if _, err := f.Invoke(ctx, event{Op: "call", URL: g.URL}.json()); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's answer: %v", err)
	}
	if _, err := tryInvoke(t, f, event{}); !errors.Is(err, lambdahost.ErrThrottled) {
		t.Errorf("during the invocation without a caller: %v, want ErrThrottled", err)
	}
	close(g.open)
	eventually(t, "it never ends", func() bool {
		a, err := tryInvoke(t, f, event{})
		return err == nil && a.Invocations == 2
	})
}

// The kernel ends the instances of a host that was killed, whether they are frozen or at work.
func TestHostThatIsKilledLeavesNoProcess(t *testing.T) {
	t.Parallel()
	t.Run("frozen", func(t *testing.T) {
		t.Parallel()
		g, file := newGate(t), filepath.Join(t.TempDir(), "go on")
		host, out := startHost(t, event{Op: "call behind", URL: g.URL, File: file})
		await(t, g.arrived) // Now the instance holds a connection.
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "frozen\n" {
			t.Fatalf("the host said %q, %v", line, err)
		}
		killHost(t, host)
		await(t, g.gone)
	})
	t.Run("at work", func(t *testing.T) {
		t.Parallel()
		g := newGate(t)
		host, _ := startHost(t, event{Op: "call", URL: g.URL})
		await(t, g.arrived)
		killHost(t, host)
		await(t, g.gone)
	})
}

// startHost starts another process of this test that has an instance work on an event.
func startHost(t *testing.T, e event) (host *exec.Cmd, out io.Reader) {
	t.Helper()
	host = exec.CommandContext(t.Context(), os.Args[0])
	host.Env = append(os.Environ(), hostVariable+"="+string(e.json()), "LAMBDAHOST_TEST_BINARY="+bootstrap)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	return host, out
}

func killHost(t *testing.T, host *exec.Cmd) {
	t.Helper()
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
}
