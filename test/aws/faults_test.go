//go:build aws

package aws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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

const (
	// faultTime is how long a disturbance lasts.
	faultTime = 5 * time.Second
	// writers is how many clients write at the same time.
	writers = 4
)

// process is a platform of Frankfurt in a process of its own, that reaches AWS through a proxy.
type process struct {
	aws  *proxy
	base int
	keys map[string]string
	out  *output
}

func startProcess(t *testing.T) *process {
	t.Helper()
	p := &process{aws: newProxy(t), base: freeBase(t), out: &output{}}
	text := oneRegion(p.base)
	d := deploy(t, spec{topology: parse(t, text)})
	dir := t.TempDir()
	file := filepath.Join(dir, "topology.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "serve", "--backend", "aws", "--region", frankfurt, "--demo", "--deployment", d.names.Deployment(),
		"--topology", file, "--data", dir, "--port", strconv.Itoa(p.base+1), "--operations-port", strconv.Itoa(p.base+operationsOffset))
	cmd.Env = append(os.Environ(), asBinary+"=1", "AWS_ENDPOINT_URL="+p.aws.url())
	cmd.Stdout, cmd.Stderr = p.out, p.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer force.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the process ended with %v: %s", err, p.out.tail())
		}
	})
	eventually(t, "the process is ready", func() error {
		a, err := try(t.Context(), request{method: http.MethodGet, url: fmt.Sprintf("http://127.0.0.1:%d/readyz", p.base+operationsOffset)})
		return errors.Join(err, a.isOK(""))
	})
	demo, err := app.ReadDemoFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.keys = make(map[string]string)
	for _, tenant := range demo.Tenants {
		p.keys[tenant.ID] = tenant.APIKey
	}
	return p
}

func (p *process) users() string { return fmt.Sprintf("http://127.0.0.1:%d/v1/users", p.base+1) }

// write creates a user under a key that is the client's for it.
func (p *process) write(ctx context.Context, key string) (answer, error) {
	return try(ctx, request{
		method: http.MethodPost, url: p.users(), key: p.keys["bank-eu"], body: newUser(key), header: map[string]string{"Idempotency-Key": key},
	})
}

// load is what clients wrote.
type load struct {
	mu sync.Mutex
	// users are the users that were acknowledged, by their keys; open are the keys of the others.
	users map[string]string
	open  []string
	// reasons counts the refusals, wrong has those that should not be.
	reasons map[string]int
	wrong   []string
	slowest time.Duration
}

// refusedPause is how long a writer waits after a refusal.
const refusedPause = 500 * time.Millisecond

// writeUntil writes until it is told to stop.
func (p *process) writeUntil(t *testing.T, stop <-chan struct{}) *load {
	t.Helper()
	l := &load{users: make(map[string]string), reasons: make(map[string]int)}
	var all sync.WaitGroup
	var n atomic.Int64
	for range writers {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("w%07d", n.Add(1))
				began := time.Now()
				a, err := p.write(t.Context(), key)
				l.note(key, a, err, time.Since(began))
				if err != nil || a.status != http.StatusOK {
					<-time.After(refusedPause) // As a client does: while the breaker is open, refusals come at once.
				}
			}
		})
	}
	all.Wait()
	return l
}

func (l *load) note(key string, a answer, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err == nil && a.status == http.StatusOK {
		l.users[key] = a.text("id")
		return
	}
	l.open = append(l.open, key)
	l.reasons[fmt.Sprintf("%d %s", a.status, a.reason())]++
	if err != nil {
		l.wrong = append(l.wrong, err.Error())
		return
	}
	switch a.reason() {
	case "REGION_UNAVAILABLE", "OVERLOADED":
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			l.wrong = append(l.wrong, fmt.Sprintf("%d without Retry-After: %s", a.status, a.body))
		}
	case "OUTCOME_UNKNOWN":
		if a.status != http.StatusConflict {
			l.wrong = append(l.wrong, fmt.Sprintf("%d: %s", a.status, a.body))
		}
	default:
		l.wrong = append(l.wrong, fmt.Sprintf("%d: %s", a.status, a.body))
	}
}

// settle makes each call again that was not acknowledged, and then holds what is stored against what was said.
func (p *process) settle(t *testing.T, l *load) {
	t.Helper()
	t.Logf("%d acknowledged, refused: %v, the slowest took %v, AWS was called %d times", len(l.users), l.reasons, l.slowest.Round(time.Millisecond), p.aws.count())
	if len(l.wrong) > 0 {
		t.Errorf("%d answers are none that a client could act on, the first: %s", len(l.wrong), l.wrong[0])
	}
	for _, key := range l.open {
		eventually(t, "the repetition of "+key+" is answered", func() error {
			a, err := p.write(t.Context(), key)
			if err := errors.Join(err, a.isOK(frankfurt)); err != nil {
				return err
			}
			l.users[key] = a.text("id")
			return nil
		})
	}
	stored := p.list(t)
	seen := make(map[string]bool, len(l.users))
	for key, user := range l.users {
		if email := stored[user]; email != key+"@example.com" {
			t.Errorf("the user of %s is lost: %q", key, email)
		}
		seen[user] = true
	}
	if len(seen) != len(l.users) || len(stored) != len(l.users) {
		t.Errorf("%d calls have made %d users, and %d are stored", len(l.users), len(seen), len(stored))
	}
}

// list are the addresses of all users.
func (p *process) list(t *testing.T) map[string]string {
	t.Helper()
	users, page := make(map[string]string), ""
	for {
		a := do(t, request{
			method: http.MethodGet, url: p.users() + "?pageSize=100&pageToken=" + url.QueryEscape(page), key: p.keys["bank-eu"],
		}).mustBe(t, frankfurt)
		items, _ := a.fields["users"].([]any)
		for _, item := range items {
			u, _ := item.(map[string]any)
			id, _ := u["id"].(string)
			users[id], _ = u["email"].(string)
		}
		if page = a.text("nextPageToken"); page == "" {
			return users
		}
	}
}

// AWS goes away, slows down and throttles while clients write: what was acknowledged is there, and each refusal is one that a client can act on.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begin, end func(p *proxy)
		// refusals says that some calls must be refused meanwhile.
		refusals bool
	}{
		"down": {begin: (*proxy).shut, end: (*proxy).open, refusals: true},
		"slow": {begin: func(p *proxy) {
			p.with(func(awsCall) disturbance { return disturbance{delay: time.Second} })
		}},
		"throttling": {begin: func(p *proxy) {
			var n atomic.Int64
			p.with(func(c awsCall) disturbance {
				if strings.HasPrefix(c.op, "DynamoDB_") && n.Add(1)%2 == 0 {
					return disturbance{code: "ThrottlingException"}
				}
				return disturbance{}
			})
		}},
		"answers lost": {begin: func(p *proxy) {
			var n atomic.Int64
			p.with(func(c awsCall) disturbance {
				return disturbance{hold: strings.HasSuffix(c.op, ".TransactWriteItems") && n.Add(1)%3 == 0}
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t)
			first := do(t, request{method: http.MethodGet, url: p.users(), key: p.keys["bank-eu"]})
			if err := first.isOK(frankfurt); err != nil {
				t.Fatal(err)
			}
			stop, written := make(chan struct{}), make(chan *load, 1)
			go func() { written <- p.writeUntil(t, stop) }()
			for _, step := range []func(){
				func() {}, func() { tt.begin(p.aws) }, func() { (orNothing(tt.end))(p.aws); p.aws.with(nil) },
			} {
				step()
				<-time.After(faultTime)
			}
			close(stop)
			l := <-written
			if tt.refusals && len(l.open) == 0 {
				t.Error("nothing was refused: the fault did not show")
			}
			p.settle(t, l)
			if strings.Contains(p.out.String(), "panic") {
				t.Errorf("the process wrote: %s", p.out.tail())
			}
		})
	}
}

func orNothing(f func(*proxy)) func(*proxy) {
	if f == nil {
		return func(*proxy) {}
	}
	return f
}
