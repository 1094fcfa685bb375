package lambdahost_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

// bootstrap is the function that testdata has the source of, built as it would be for Lambda.
var bootstrap string

// hostVariable asks the test binary to be a host that is killed, with the function's binary and an event of it.
const hostVariable = "LAMBDAHOST_TEST_HOST"

func TestMain(m *testing.M) {
	if event := os.Getenv(hostVariable); event != "" {
		beKilled(os.Getenv("LAMBDAHOST_TEST_BINARY"), event)
	}
	dir, err := os.MkdirTemp("", "lambdahost")
	if err != nil {
		panic(err)
	}
	bootstrap = filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(context.Background(), "go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags", "-s -w", "-o", bootstrap, "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// beKilled runs an instance and waits for the end.
func beKilled(binary, event string) {
	f, err := lambdahost.NewFunction(lambdahost.Config{Name: "orphan", Binary: binary, Timeout: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	if _, err := f.Invoke(context.Background(), []byte(event)); err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString("frozen\n"); err != nil {
		panic(err)
	}
	select {}
}

// logs collects what a function logs.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")
}

// event is what the function of testdata is asked to do.
type event struct {
	Op   string `json:"op"`
	URL  string `json:"url,omitempty"`
	Size int    `json:"size,omitempty"`
	File string `json:"file,omitempty"`
}

func (e event) json() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return b
}

// answer is what it answers.
type answer struct {
	PID         int      `json:"pid"`
	Invocations int      `json:"invocations"`
	Ticks       int      `json:"ticks"`
	RequestID   string   `json:"requestId"` //nolint:tagliatelle // the function's own
	ARN         string   `json:"arn"`
	Remaining   int      `json:"remainingMs"` //nolint:tagliatelle // the function's own
	Env         []string `json:"env"`
	Dir         string   `json:"dir"`
	Fill        string   `json:"fill"`
}

func newFunction(t *testing.T, cfg lambdahost.Config) *lambdahost.Function {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "probe"
	}
	cfg.Binary = bootstrap
	f, err := lambdahost.NewFunction(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func invoke(t *testing.T, f lambdahost.Invoker, e event) answer {
	t.Helper()
	a, err := tryInvoke(t, f, e)
	if err != nil {
		t.Fatalf("%s: %v", e.Op, err)
	}
	return a
}

func tryInvoke(t *testing.T, f lambdahost.Invoker, e event) (answer, error) {
	t.Helper()
	var a answer
	out, err := f.Invoke(t.Context(), e.json())
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%s answered %s: %v", e.Op, out, err)
	}
	return a, nil
}

// await returns what comes, within a minute.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came for a minute")
		panic("unreachable")
	}
}
