package lambdahost_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domicile-api/domicile/internal/lambdahost"
)

func TestColdAndWarm(t *testing.T) {
	t.Parallel()
	var out logs
	f := newFunction(t, lambdahost.Config{Region: "eu-central-1", Account: "123456789012", Timeout: 20 * time.Second, Logs: &out})
	first := invoke(t, f, event{})
	second := invoke(t, f, event{})
	if first.PID != second.PID || second.Invocations != 2 {
		t.Errorf("two invocations one after another: %+v, %+v; want one instance", first, second)
	}
	if first.RequestID == second.RequestID || len(first.RequestID) != 36 {
		t.Errorf("request ids %q and %q", first.RequestID, second.RequestID)
	}
	if want := "arn:aws:lambda:eu-central-1:123456789012:function:probe"; first.ARN != want || f.ARN() != want {
		t.Errorf("ARN %q and %q, want %q", first.ARN, f.ARN(), want)
	}
	if first.Remaining <= 10_000 || first.Remaining > 20_000 {
		t.Errorf("%d ms until the deadline, want nearly 20 s", first.Remaining)
	}
	text := strings.Join(out.lines(), "\n")
	for what, want := range map[string]int{
		"probe/1 INIT_START ": 1, "\tInit Duration: ": 1, "probe/1 START RequestId: " + first.RequestID + " Version: $LATEST\n": 1,
		"probe/1 END RequestId: " + second.RequestID + "\n": 1, "probe/1 REPORT RequestId: ": 2, "\tMemory Size: 128 MB\tMax Memory Used: ": 2,
	} {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%q is in the log %d times, want %d:\n%s", what, got, want, text)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("OF_THE_HOST", "hidden")
	root := t.TempDir()
	f := newFunction(t, lambdahost.Config{
		TaskRoot: root, Region: "sa-east-1", MemoryMB: 256, Env: map[string]string{"OWN": "a=b", "AWS_ACCESS_KEY_ID": "test", "LANG": "C"},
	})
	got := invoke(t, f, event{Op: "env"})
	want := []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_DEFAULT_REGION=sa-east-1", "AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_FUNCTION_NAME=probe", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/probe", "AWS_REGION=sa-east-1",
		"LAMBDA_RUNTIME_DIR=/var/runtime", "LAMBDA_TASK_ROOT=" + root, "LANG=C", "OWN=a=b", "PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"TZ=:UTC", "_HANDLER=bootstrap",
	}
	ofThisInstance := cmpopts.IgnoreSliceElements(func(v string) bool {
		return slices.ContainsFunc([]string{"AWS_LAMBDA_RUNTIME_API=127.0.0.1:", "AWS_LAMBDA_LOG_STREAM_NAME=20", "_X_AMZN_TRACE_ID=Root=1-"},
			func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
	slices.Sort(got.Env)
	if diff := cmp.Diff(want, got.Env, ofThisInstance); diff != "" {
		t.Error(diff)
	}
	if len(got.Env) != len(want)+3 {
		t.Errorf("%d variables, want %d: %q", len(got.Env), len(want)+3, got.Env)
	}
	if resolved, err := filepath.EvalSymlinks(root); err != nil || got.Dir != resolved {
		t.Errorf("it runs in %s, want %s", got.Dir, root)
	}
}

// What the function reports of itself leaves the instance usable; what ends the process does not.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event  event
		want   lambdahost.FunctionError
		status string
		stack  bool
		reused bool
	}{
		"an error": {
			event: event{Op: "error"}, want: lambdahost.FunctionError{Cause: lambdahost.Handled, Type: "errorString", Message: "as asked"}, reused: true,
		},
		"a panic": {
			event: event{Op: "panic"}, want: lambdahost.FunctionError{Cause: lambdahost.Handled, Type: "string", Message: "as asked"}, stack: true,
		},
		"an exit": {
			event: event{Op: "exit"}, status: "\tStatus: error\tError Type: Runtime.ExitError",
			want: lambdahost.FunctionError{Cause: lambdahost.Exited, Type: "Runtime.ExitError", Message: "RequestId: ID Error: Runtime exited with error: exit status 3"},
		},
		"a time-out": {
			event: event{Op: "hang"}, status: "\tStatus: timeout",
			want: lambdahost.FunctionError{Cause: lambdahost.TimedOut, Type: "Sandbox.Timedout", Message: "RequestId: ID Error: Task timed out after 1.50 seconds"},
		},
		"memory": {
			event: event{Op: "allocate"}, status: "\tStatus: error\tError Type: Runtime.OutOfMemory",
			want: lambdahost.FunctionError{Cause: lambdahost.OutOfMemory, Type: "Runtime.OutOfMemory", Message: "RequestId: ID Error: Runtime exited with error: signal: killed"},
		},
		"an answer that is too large": {
			event: event{Op: "fill", Size: lambdahost.MaxAnswer}, status: "\tStatus: error\tError Type: Function.ResponseSizeTooLarge",
			want: lambdahost.FunctionError{
				Cause: lambdahost.AnswerTooLarge, Type: "Function.ResponseSizeTooLarge",
				Message: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out logs
			timeout := 30 * time.Second
			if tt.event.Op == "hang" {
				timeout = 1500 * time.Millisecond
			}
			f := newFunction(t, lambdahost.Config{Timeout: timeout, MemoryMB: 64, Logs: &out})
			before := invoke(t, f, event{})
			_, err := tryInvoke(t, f, tt.event)
			failed, ok := errors.AsType[*lambdahost.FunctionError](err)
			if !ok {
				t.Fatalf("got %v, want a *FunctionError", err)
			}
			got := *failed
			got.Message = strings.ReplaceAll(got.Message, got.RequestID, "ID")
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(lambdahost.FunctionError{}, "RequestID", "StackTrace")); diff != "" {
				t.Error(diff)
			}
			if got := len(failed.StackTrace) > 0; got != tt.stack {
				t.Errorf("a stack trace: %v, want %v", got, tt.stack)
			}
			after := invoke(t, f, event{})
			if got := after.PID == before.PID; got != tt.reused {
				t.Errorf("the instance was used again: %v, want %v", got, tt.reused)
			}
			want := "REPORT RequestId: " + failed.RequestID
			if i := slices.IndexFunc(out.lines(), func(l string) bool { return strings.Contains(l, want) }); i < 0 || !strings.HasSuffix(out.lines()[i], tt.status) {
				t.Errorf("no line %q that ends with %q:\n%s", want, tt.status, strings.Join(out.lines(), "\n"))
			}
		})
	}
}

func TestInitFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		init string
		want lambdahost.FunctionError
		log  []string
	}{
		"an exit": {
			init: "exit", want: lambdahost.FunctionError{Cause: lambdahost.InitFailed, Type: "Runtime.ExitError", Message: "RequestId: ID Error: Runtime exited with error: exit status 7"},
			log: []string{"Phase: init\tStatus: error\tError Type: Runtime.ExitError", "Phase: invoke\tStatus: error\tError Type: Runtime.ExitError"},
		},
		"an error": {
			init: "error", want: lambdahost.FunctionError{Cause: lambdahost.InitFailed, Type: "Function.NoTable", Message: "the table is missing"},
			log: []string{"Phase: init\tStatus: error\tError Type: Function.NoTable", "Phase: invoke\tStatus: error\tError Type: Function.NoTable"},
		},
		"a time-out": {
			init: "hang", want: lambdahost.FunctionError{Cause: lambdahost.TimedOut, Type: "Sandbox.Timedout", Message: "RequestId: ID Error: Task timed out after 0.40 seconds"},
			log: []string{"Phase: init\tStatus: timeout", "Phase: invoke\tStatus: timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out logs
			f := newFunction(t, lambdahost.Config{
				Env: map[string]string{"INIT": tt.init}, Logs: &out, InitTimeout: 300 * time.Millisecond, Timeout: 400 * time.Millisecond,
			})
			if tt.init != "hang" {
				f = newFunction(t, lambdahost.Config{Env: map[string]string{"INIT": tt.init}, Logs: &out, Timeout: 20 * time.Second})
			}
			_, err := tryInvoke(t, f, event{})
			failed, ok := errors.AsType[*lambdahost.FunctionError](err)
			if !ok {
				t.Fatalf("got %v, want a *FunctionError", err)
			}
			got := *failed
			got.Message = strings.ReplaceAll(got.Message, got.RequestID, "ID")
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(lambdahost.FunctionError{}, "RequestID")); diff != "" {
				t.Error(diff)
			}
			for _, want := range tt.log {
				if !strings.Contains(strings.Join(out.lines(), "\n"), want) {
					t.Errorf("%q is not in the log:\n%s", want, strings.Join(out.lines(), "\n"))
				}
			}
		})
	}
}

// Lambda tries a start that failed once more, in the invocation's time.
func TestInitIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"exit", "error", "hang"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := lambdahost.Config{Env: map[string]string{"INIT": "once:" + filepath.Join(t.TempDir(), "tried") + ":" + kind}, Timeout: 20 * time.Second}
			if kind == "hang" {
				cfg.InitTimeout = time.Second
			}
			if got := invoke(t, newFunction(t, cfg), event{}); got.Invocations != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := newFunction(t, lambdahost.Config{Timeout: 20 * time.Second})
	large := []byte(`{"op":"` + strings.Repeat("x", lambdahost.MaxEvent-9) + `"}`)
	if _, err := f.Invoke(t.Context(), large); err != nil {
		t.Errorf("an event of %d bytes: %v", len(large), err)
	}
	_, err := f.Invoke(t.Context(), append(large, ' '))
	want := &lambdahost.TooLargeError{Bytes: lambdahost.MaxEvent + 1, Limit: lambdahost.MaxEvent}
	if got, ok := errors.AsType[*lambdahost.TooLargeError](err); !ok || *got != *want {
		t.Errorf("an event of one byte more: %v, want %v", err, want)
	}
	if _, err := f.Invoke(t.Context(), []byte("{")); !errors.Is(err, lambdahost.ErrNotJSON) {
		t.Errorf("an event that is no JSON: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Invoke(ctx, []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone: %v", err)
	}
	// The largest answer: what surrounds the filling is measured first.
	frame := len(mustInvoke(t, f, event{Op: "fill", Size: 1})) - 1
	if got := mustInvoke(t, f, event{Op: "fill", Size: lambdahost.MaxAnswer - frame - 16}); len(got) < lambdahost.MaxAnswer-64 || len(got) > lambdahost.MaxAnswer {
		t.Errorf("an answer of %d bytes", len(got))
	}
}

func mustInvoke(t *testing.T, f *lambdahost.Function, e event) []byte {
	t.Helper()
	out, err := f.Invoke(t.Context(), e.json())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConfigThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]lambdahost.Config{
		"no name":           {Binary: bootstrap},
		"no binary":         {Name: "f"},
		"a missing binary":  {Name: "f", Binary: bootstrap + ".missing"},
		"a folder":          {Name: "f", Binary: filepath.Dir(bootstrap)},
		"a reserved name":   {Name: "f", Binary: bootstrap, Env: map[string]string{"AWS_REGION": "us-east-1"}},
		"a negative bound":  {Name: "f", Binary: bootstrap, Timeout: -1},
		"a negative memory": {Name: "f", Binary: bootstrap, MemoryMB: -1},
	} {
		if f, err := lambdahost.NewFunction(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			_ = f.Close()
		}
	}
}

func TestOutputIsLogged(t *testing.T) {
	t.Parallel()
	var out logs
	f := newFunction(t, lambdahost.Config{Timeout: 20 * time.Second, Logs: &out})
	invoke(t, f, event{Op: "print"})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"probe/1 to the standard output", "probe/1 to the standard error, without an end"} {
		if !slices.Contains(out.lines(), want) {
			t.Errorf("no line %q:\n%s", want, strings.Join(out.lines(), "\n"))
		}
	}
}
