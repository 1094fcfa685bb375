package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/domicile-api/domicile/internal/cli"
)

// startServe starts a process of one region on a folder that dev has made, and waits until it is ready.
func startServe(t *testing.T, dir string, base, region int, args ...string) *process {
	t.Helper()
	p := launchServe(t, dir, base, region, args...)
	eventually(t, p.name+" is ready", func() bool {
		if len(p.exited) > 0 {
			t.Fatalf("%s ended: %s", p.name, p.out)
		}
		a, err := try(t.Context(), call{method: http.MethodGet, url: fmt.Sprintf("http://127.0.0.1:%d/readyz", base+region+10)})
		return err == nil && a.status == http.StatusOK
	})
	return p
}

// launchServe is startServe that does not wait.
func launchServe(t *testing.T, dir string, base, region int, args ...string) *process {
	t.Helper()
	p := &process{out: &bytes.Buffer{}, exited: make(chan error, 1), dir: dir, base: base}
	name := []string{"", "eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-1", "sa-east-1"}[region]
	p.cmd = command(context.Background(), append([]string{"serve", "--region", name, "--data", dir, "--port-base", strconv.Itoa(base)}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.name = name
	return p
}

// devFolder is a data folder that dev made, with a user of acme-eu in it, ports for processes of it, and the keys of the
// demonstration tenants.
func devFolder(t *testing.T) (dir string, base int, keys map[string]string) {
	t.Helper()
	dir, base = t.TempDir(), freeBase(t)
	p := startDev(t, dir, base)
	do(t, call{method: http.MethodPost, url: p.url(1) + "/v1/users", key: demoKeys(t, dir)["acme-eu"], body: newUser("first")}).mustBe(t, http.StatusOK, "")
	if err := p.end(t, syscall.SIGTERM); err != nil {
		t.Fatalf("dev: %v: %s", err, p.out)
	}
	return dir, base, demoKeys(t, dir)
}

// TestHomeIsDownOrHangs calls through an edge in a process of its own while the home's process is gone, and while it hangs.
func TestHomeIsDownOrHangs(t *testing.T) {
	t.Parallel()
	dir, base, keys := devFolder(t)
	edge := startServe(t, dir, base, 3, "--role", "edge")
	home := startServe(t, dir, base, 1)
	read := call{method: http.MethodGet, url: edge.url(3) + "/v1/users", key: keys["acme-eu"]}
	write := call{method: http.MethodPost, url: read.url, key: read.key, body: newUser("outage")}
	if a := do(t, read).mustBe(t, http.StatusOK, ""); a.header.Get("Domicile-Region") != "eu-central-1" {
		t.Fatalf("answered by %q", a.header.Get("Domicile-Region"))
	}

	if err := home.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	hung := call{
		method: http.MethodPost, url: edge.url(3) + "/domicile.profile.v1.ProfileService/ListUsers", key: read.key, body: "{}",
		header: map[string]string{"Connect-Timeout-Ms": "200"},
	}
	// A process goes on for a moment after the signal was sent.
	eventually(t, "the home hangs", func() bool {
		a := do(t, hung)
		return a.status == http.StatusGatewayTimeout && a.reason() == "DEADLINE_EXCEEDED"
	})
	// The control of the hang: another tenant's refusal does not wait for it.
	do(t, call{method: http.MethodGet, url: read.url, key: keys["bank-eu"]}).mustBe(t, http.StatusMisdirectedRequest, "WRONG_REGION")

	_ = home.end(t, syscall.SIGKILL)
	for name, c := range map[string]call{"read": read, "write": write} {
		a := do(t, c)
		if a.status != http.StatusServiceUnavailable || a.reason() != "REGION_UNAVAILABLE" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s of a home that is down: %d %q, Retry-After %q: %s", name, a.status, a.reason(), a.header.Get("Retry-After"), a.body)
		}
		if bytes.Contains(a.body, []byte("outage")) || bytes.Contains(a.body, []byte("dial")) {
			t.Errorf("%s: the error says too much: %s", name, a.body)
		}
	}
	a := do(t, call{method: http.MethodGet, url: read.url, key: keys["acme-us"]}).mustBe(t, http.StatusServiceUnavailable, "REGION_UNAVAILABLE")
	if a.header.Get("Retry-After") == "" {
		t.Error("an edge without its region's services does not say when to try again")
	}

	home = startServe(t, dir, base, 1)
	do(t, read).mustBe(t, http.StatusOK, "")
	do(t, write).mustBe(t, http.StatusOK, "")
	for _, p := range []*process{edge, home} {
		if err := p.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("SIGTERM ends the process with %v: %s", err, p.out)
		}
	}
}

// TestFirstWriteWithoutStandby writes for a tenant that has no key yet while its standby, which must hold the key first, is away.
func TestFirstWriteWithoutStandby(t *testing.T) {
	t.Parallel()
	dir, base, keys := devFolder(t)
	home := startServe(t, dir, base, 3)
	write := call{method: http.MethodPost, url: home.url(3) + "/v1/users", key: keys["acme-us"], body: newUser("alone")}
	if a := do(t, write).mustBe(t, http.StatusServiceUnavailable, "REGION_UNAVAILABLE"); a.header.Get("Retry-After") == "" {
		t.Error("the refusal does not say when to try again")
	}
	_ = home.end(t, syscall.SIGKILL)
	all := startDev(t, dir, base)
	write.url = all.url(3) + "/v1/users"
	do(t, write).mustBe(t, http.StatusOK, "")
}

// TestRevocationWithoutControl revokes a key at home while no other region runs: it is refused there from then on, and everywhere once
// the regions are back.
func TestRevocationWithoutControl(t *testing.T) {
	t.Parallel()
	dir, base, keys := devFolder(t)
	home := startServe(t, dir, base, 1)
	key := keys["acme-eu"]
	read := call{method: http.MethodGet, url: home.url(1) + "/v1/users", key: key}
	do(t, read).mustBe(t, http.StatusOK, "")
	id := strings.Split(key, "_")[2]
	revoke := call{method: http.MethodPost, url: home.url(1) + "/v1/keys/" + id + ":revoke", key: key, body: map[string]any{}}
	do(t, revoke).mustBe(t, http.StatusOK, "")
	do(t, read).mustBe(t, http.StatusUnauthorized, "CREDENTIAL_INVALID") // At home at once.
	do(t, revoke).mustBe(t, http.StatusOK, "")                           // Whoever did not hear the answer may ask again.
	_ = home.end(t, syscall.SIGKILL)

	all := startDev(t, dir, freeBase(t))
	for region := 1; region <= 6; region++ {
		do(t, call{method: http.MethodGet, url: all.url(region) + "/v1/users", key: key}).mustBe(t, http.StatusUnauthorized, "CREDENTIAL_INVALID")
	}
	other := demoKeys(t, dir)["acme-us"]
	do(t, call{method: http.MethodGet, url: all.url(1) + "/v1/users", key: other}).mustBe(t, http.StatusOK, "")
}

// TestTornLastGoodCopy tears the directory's copy that an edge starts from: the copy before is used, and without a whole one the edge
// says so and does not start.
func TestTornLastGoodCopy(t *testing.T) {
	t.Parallel()
	dir, base, keys := devFolder(t)
	file := filepath.Join(dir, "us-east-1", "directory.snapshot")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for name, torn := range map[string][]byte{"cut": whole[:len(whole)/2], "empty": {}, "flipped bit": flipped} {
		write(file, torn)
		write(file+".1", whole)
		edge := startServe(t, dir, base, 3, "--role", "edge")
		do(t, call{method: http.MethodGet, url: edge.url(3) + "/v1/users", key: keys["bank-eu"]}).
			mustBe(t, http.StatusMisdirectedRequest, "WRONG_REGION")
		if err := edge.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("%s: %v: %s", name, err, edge.out)
		}
	}
	write(file, whole[:len(whole)-1])
	write(file+".1", nil)
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := command(ctx, "serve", "--region", "us-east-1", "--role", "edge", "--data", dir, "--port-base", strconv.Itoa(base))
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != cli.ExitRefused || !strings.Contains(string(out), "last good copy") {
		t.Errorf("an edge without a whole copy: %v: %s", err, out)
	}
}

// TestDiskFull fills the disk under a running platform: writes are refused with their reason, reads go on, also after a restart, and
// when there is space again so are writes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=384m"); err != nil {
		t.Skipf("a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 2) }) // 2 is MNT_DETACH: the process may still be ending.
	base := freeBase(t)
	p := startDev(t, filepath.Join(dir, "data"), base)
	key := demoKeys(t, p.dir)["acme-eu"]
	create := func(name string) answer {
		return do(t, call{method: http.MethodPost, url: p.url(3) + "/v1/users", key: key, body: newUser(name)})
	}
	id := create("before").mustBe(t, http.StatusOK, "").text("id")
	filler := filepath.Join(dir, "filler")
	fill(t, dir, filler)
	eventually(t, "writes are refused", func() bool { return create("full").reason() == "STORAGE_FULL" })
	read := call{method: http.MethodGet, url: p.url(3) + "/v1/users/" + id, key: key}
	do(t, read).mustBe(t, http.StatusOK, "")
	_ = p.end(t, syscall.SIGKILL)

	p = startDev(t, p.dir, base)
	fill(t, dir, filler+".2") // What the stores gave back when they were opened again.
	do(t, read).mustBe(t, http.StatusOK, "")
	eventually(t, "writes are refused again", func() bool { return create("again").reason() == "STORAGE_FULL" })
	if err := errors.Join(os.Remove(filler), os.Remove(filler+".2")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writes go on", func() bool { return create("after").status != http.StatusServiceUnavailable })
	do(t, read).mustBe(t, http.StatusOK, "")
}

// TestUnknownHostFlood names 100,000 hosts that nobody has: each is refused with its reason, the platform's memory stays bounded, and
// who is known is answered meanwhile.
func TestUnknownHostFlood(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir(), freeBase(t))
	key := demoKeys(t, p.dir)["acme-eu"]
	const hosts, clients = 100_000, 4
	half := func(first int) {
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() { flood(t, p.base+3, first+c*hosts/2/clients, hosts/2/clients) })
		}
		for range 10 {
			do(t, call{method: http.MethodGet, url: p.url(3) + "/v1/users", key: key}).mustBe(t, http.StatusOK, "")
		}
		wg.Wait()
	}
	// What the first half costs is what the process needs when it is busy; a second one must cost no more.
	half(0)
	before := residentBytes(t, p)
	half(hosts / 2)
	if grown := residentBytes(t, p) - before; grown > 96<<20 {
		t.Errorf("50,000 more unknown hosts cost %d MiB", grown>>20)
	}
}

// flood asks for n hosts on one connection, without waiting for an answer before the next question.
func flood(t *testing.T, port, first, n int) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	var asking sync.WaitGroup
	asking.Go(func() {
		out := bufio.NewWriter(conn)
		for i := range n {
			_, _ = fmt.Fprintf(out, "GET /v1/users HTTP/1.1\r\nHost: h%d.example.com\r\n\r\n", first+i)
		}
		_ = out.Flush()
	})
	defer asking.Wait()
	in := bufio.NewReader(conn)
	for range n {
		resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // The body is read to its end, which is all that its Close would do.
		if err != nil {
			t.Errorf("an answer to a flood: %v", err)
			_ = conn.Close() // Ends the asking, too.
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusNotFound || !bytes.Contains(body, []byte("TENANT_UNKNOWN")) {
			t.Errorf("an unknown host: %d %s %v", resp.StatusCode, body, err)
			_ = conn.Close()
			return
		}
	}
}

// residentBytes is how much memory a process has; 0 where the system does not say.
func residentBytes(t *testing.T, p *process) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// fill leaves 24 MiB free: less than what a store keeps back.
func fill(t *testing.T, disk, name string) {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(disk, &stat); err != nil {
		t.Fatal(err)
	}
	size := max(int64(stat.Bavail)*stat.Bsize-24<<20, 0)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(f, zeros{}, size)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// zeros is an endless file of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
