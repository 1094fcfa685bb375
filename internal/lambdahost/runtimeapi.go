package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// apiVersion is the version of the Runtime API, the first part of its paths.
const apiVersion = "2018-06-01"

// headerErrorType is where a runtime says the type of an error that its body need not name.
const headerErrorType = "Lambda-Runtime-Function-Error-Type"

// runtimeAPI is the Runtime API of one instance, on a listener of its own, so that nothing but the address tells instances apart.
// After serve, an instance is seen as: ready (it asks for an event), then an answer, then ready again.
type runtimeAPI struct {
	listener net.Listener
	server   *http.Server

	// ready gets a value each time the runtime asks for an event.
	ready chan struct{}
	// events gives the runtime its next event.
	events chan *invocation
	// initFailed is closed when the runtime has reported that its start failed.
	initFailed chan struct{}

	mu sync.Mutex
	// current is the invocation delivered last.
	current *invocation
	// failed is what initFailed is about.
	failed *FunctionError
}

// newRuntimeAPI listens and serves until close, whatever becomes of ctx.
func newRuntimeAPI(ctx context.Context) (*runtimeAPI, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the runtime: %w", err)
	}
	a := &runtimeAPI{
		listener: listener, ready: make(chan struct{}, 1), events: make(chan *invocation, 1), initFailed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	const runtime = "/" + apiVersion + "/runtime"
	mux.HandleFunc("GET "+runtime+"/invocation/next", a.next)
	mux.HandleFunc("POST "+runtime+"/invocation/{id}/response", a.response)
	mux.HandleFunc("POST "+runtime+"/invocation/{id}/error", a.failure)
	mux.HandleFunc("POST "+runtime+"/init/error", a.reportInit)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// endpoint is what AWS_LAMBDA_RUNTIME_API says.
func (a *runtimeAPI) endpoint() string { return a.listener.Addr().String() }

// close ends the API and all that waits in it.
func (a *runtimeAPI) close() {
	_ = a.server.Close()
}

// deliver gives a runtime that has asked for it an event.
func (a *runtimeAPI) deliver(inv *invocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.ready: // It asked twice, having lost its connection.
	default:
	}
	a.current = inv
	a.events <- inv // It has room: the event before was taken, or its instance is gone.
}

// next answers the runtime's question for an event, when there is one.
func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	select {
	case a.ready <- struct{}{}:
	default: // It asked before and gave up.
	}
	select {
	case inv := <-a.events:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", inv.arn)
		h.Set("Lambda-Runtime-Trace-Id", inv.trace)
		h.Set("Content-Length", strconv.Itoa(len(inv.event)))
		_, _ = w.Write(inv.event) // A runtime that is gone is seen by its exit.
	case <-r.Context().Done():
	}
}

// response takes an answer.
func (a *runtimeAPI) response(w http.ResponseWriter, r *http.Request) {
	inv := a.answering(w, r)
	if inv == nil {
		return
	}
	answer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxAnswer))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		inv.finish(nil, &FunctionError{
			Cause: AnswerTooLarge, RequestID: inv.id, Type: "Function.ResponseSizeTooLarge",
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxAnswer),
		})
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxAnswer))
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidResponse", "the answer broke off")
		return
	}
	// A runtime that streams its answer says in a trailer that it failed on the way.
	if failed := r.Trailer.Get(headerErrorType); failed != "" {
		inv.finish(nil, &FunctionError{Cause: Handled, RequestID: inv.id, Type: failed, Message: "the answer broke off"})
	} else {
		inv.finish(answer, nil)
	}
	accept(w)
}

// failure takes an error of the function.
func (a *runtimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	inv := a.answering(w, r)
	if inv == nil {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxAnswer))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the error is too large")
		return
	}
	inv.finish(nil, reported(Handled, inv.id, r.Header.Get(headerErrorType), body))
	accept(w)
}

// answering returns the invocation that the path names, or refuses.
func (a *runtimeAPI) answering(w http.ResponseWriter, r *http.Request) *invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil || a.current.id != r.PathValue("id") || a.current.isFinished() {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return nil
	}
	return a.current
}

// reportInit takes an error of the runtime's start; the first one counts.
func (a *runtimeAPI) reportInit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxAnswer))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the error is too large")
		return
	}
	accept(w)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		a.failed = reported(InitFailed, "", r.Header.Get(headerErrorType), body)
		close(a.initFailed)
	}
}

// initError is what the runtime has reported of its start; initFailed is closed.
func (a *runtimeAPI) initError() *FunctionError {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := *a.failed
	return &e
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": errorType, "errorMessage": message}) //nolint:errchkjson // strings are JSON
}
