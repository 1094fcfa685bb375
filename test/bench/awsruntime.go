package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"
)

// invocationTimeout bounds what a function may take for a start or an event.
const invocationTimeout = time.Minute

// function is one instance of a function, with the Lambda Runtime API that it asks for work.
type function struct {
	cmd    *exec.Cmd
	log    bytes.Buffer
	server *http.Server
	exited chan error
	// events are what it gets; asked has when it asked for work, answers what it said.
	events  chan []byte
	asked   chan time.Time
	answers chan functionAnswer
	// begin is when it was executed.
	begin time.Time
}

type functionAnswer struct {
	at   time.Time
	body []byte
	err  error
}

// startFunction executes a bootstrap and returns how long it took to ask for work.
func startFunction(ctx context.Context, binary, name string, env map[string]string) (f *function, ready time.Duration, err error) {
	f = &function{
		events: make(chan []byte), asked: make(chan time.Time, 1), answers: make(chan functionAnswer, 1), exited: make(chan error, 1),
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, 0, fmt.Errorf("opening a Runtime API: %w", err)
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(l) }() // It ends with stop.
	f.cmd = exec.CommandContext(ctx, binary)
	f.cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + l.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=" + name, "_HANDLER=bootstrap"}
	for key, value := range env {
		f.cmd.Env = append(f.cmd.Env, key+"="+value)
	}
	f.cmd.Stdout, f.cmd.Stderr = &f.log, &f.log
	f.begin = time.Now()
	if err := f.cmd.Start(); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("starting %s: %w", name, err), f.server.Close())
	}
	go func() { f.exited <- f.cmd.Wait() }()
	select {
	case at := <-f.asked:
		return f, at.Sub(f.begin), nil
	case err := <-f.exited:
		f.exited <- err
		return nil, 0, errors.Join(fmt.Errorf("%s ended: %s", name, f.log.String()), f.stop())
	case <-time.After(invocationTimeout):
		return nil, 0, errors.Join(fmt.Errorf("%s does not ask for work", name), f.stop())
	}
}

// invoke gives the instance an event and returns its answer, and when that came.
func (f *function) invoke(event []byte) (answer []byte, at time.Time, err error) {
	timeout := time.After(invocationTimeout)
	select {
	case f.events <- event:
	case <-timeout:
		return nil, at, errors.New("a function does not take an event")
	}
	select {
	case a := <-f.answers:
		return a.body, a.at, a.err
	case err := <-f.exited:
		f.exited <- err
		return nil, at, fmt.Errorf("a function ended at an event: %s", f.log.String())
	case <-timeout:
		return nil, at, errors.New("a function does not answer an event")
	}
}

// stop ends the instance as Lambda does, without a word.
func (f *function) stop() error {
	_ = f.cmd.Process.Kill() // It may have ended.
	if err := <-f.exited; err == nil {
		return errors.Join(errors.New("a function ended by itself"), f.server.Close())
	}
	if err := f.server.Close(); err != nil {
		return fmt.Errorf("closing a Runtime API: %w", err)
	}
	return nil
}

// ServeHTTP is the Runtime API (AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes").
func (f *function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path.Base(r.URL.Path) {
	case "next":
		select {
		case f.asked <- time.Now():
		default: // Nobody looks at the later ones.
		}
		select {
		case event := <-f.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "00000000-0000-0000-0000-000000000000")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(invocationTimeout).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+abroadAWS+":"+account+":function:bench")
			_, _ = w.Write(event) // It may have ended.
		case <-r.Context().Done():
		}
	case "response", "error":
		a := functionAnswer{at: time.Now()}
		a.body, a.err = io.ReadAll(r.Body)
		if strings.HasSuffix(r.URL.Path, "/error") {
			a.err = fmt.Errorf("a function failed: %s", a.body)
		}
		w.WriteHeader(http.StatusAccepted)
		f.answers <- a
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}
