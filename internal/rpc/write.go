package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
)

// errorWriter knows the shapes of Connect, gRPC and gRPC-Web.
var errorWriter = connect.NewErrorWriter() //nolint:gochecknoglobals // it has no state

// WriteError answers a request with an error in the protocol that it asks in. It reads nothing of the body. Nothing may have
// been written before.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	f := ToFault(err)
	writeStatus(w, r, ProtocolOf(r), HTTPStatus(f.Reason), f)
}

// WriteMethodNotAllowed answers that a path does not take the request's HTTP method, and which it takes.
func WriteMethodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	writeStatus(w, r, ProtocolOf(r), http.StatusMethodNotAllowed, libraryFault(errorsv1.Reason_REASON_UNSUPPORTED))
}

// writeStatus is WriteError with an HTTP status of its own, for those that HTTP itself wants: 405 with an Allow header.
func writeStatus(w http.ResponseWriter, r *http.Request, protocol Protocol, code int, err error) {
	coded := ToConnect(err)
	h := w.Header()
	for name := range h {
		// What a library has said about the answer that this one replaces.
		switch name {
		case "Content-Length", "Content-Encoding", http.CanonicalHeaderKey(headerETag), "X-Content-Type-Options", "Accept-Encoding":
			h.Del(name)
		}
		if protocol == REST && strings.HasPrefix(name, "Grpc-") {
			h.Del(name) // Vanguard asks the service over gRPC; the caller does not know of it.
		}
	}
	h.Set("Cache-Control", "no-store")
	switch protocol {
	case REST:
		writeREST(w, r, code, coded)
	case ConnectUnary:
		writeConnect(w, r, code, coded)
	default:
		// The request may have come by a method or content type that the writer does not take for this protocol.
		asked := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": r.Header["Content-Type"]}}
		if writeErr := errorWriter.Write(w, asked, coded); writeErr != nil {
			return // the caller is gone
		}
	}
}

// writeREST sends google.rpc.Status as JSON, the error model of google.api.http.
func writeREST(w http.ResponseWriter, r *http.Request, code int, err *connect.Error) {
	message := &status.Status{
		Code: int32(err.Code()), Message: err.Message(), Details: anyDetails(err), //nolint:gosec // 1 to 16
	}
	body, marshalErr := protojson.Marshal(message)
	if marshalErr != nil {
		body = []byte(`{"code":13,"message":"an internal error"}`)
	}
	writeJSON(w, r, code, err, body)
}

// connectError is the error model of the Connect protocol.
type connectError struct {
	Code    string          `json:"code"`
	Message string          `json:"message,omitempty"`
	Details []connectDetail `json:"details,omitempty"`
}

type connectDetail struct {
	Type  string          `json:"type"`
	Value string          `json:"value"`
	Debug json.RawMessage `json:"debug,omitempty"`
}

func writeConnect(w http.ResponseWriter, r *http.Request, code int, err *connect.Error) {
	body, marshalErr := json.Marshal(wireError(err))
	if marshalErr != nil {
		body = []byte(`{"code":"internal"}`)
	}
	writeJSON(w, r, code, err, body)
}

// wireError is what the Connect protocol sends for an error, as connect-go itself would send it.
func wireError(err *connect.Error) connectError {
	message := connectError{Code: err.Code().String(), Message: err.Message()}
	for _, detail := range err.Details() {
		d := connectDetail{Type: detail.Type(), Value: connect.EncodeBinaryHeader(detail.Bytes())}
		if value, valueErr := detail.Value(); valueErr == nil {
			if debug, debugErr := protojson.Marshal(value); debugErr == nil {
				d.Debug = debug
			}
		}
		message.Details = append(message.Details, d)
	}
	return message
}

// anyDetails returns an error's details as google.rpc.Status has them.
func anyDetails(err *connect.Error) []*anypb.Any {
	out := make([]*anypb.Any, 0, len(err.Details()))
	for _, detail := range err.Details() {
		out = append(out, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type(), Value: detail.Bytes()})
	}
	return out
}

// percentEncode encodes a text for the Grpc-Message trailer: printable ASCII but "%" stays.
func percentEncode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// writeJSON takes the spaces out that protojson scatters, so that equal errors are equal bytes.
func writeJSON(w http.ResponseWriter, r *http.Request, code int, err *connect.Error, body []byte) {
	var compact bytes.Buffer
	if compactErr := json.Compact(&compact, body); compactErr == nil {
		body = compact.Bytes()
	}
	h := w.Header()
	maps.Copy(h, err.Meta())
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if r.Method == http.MethodHead {
		return
	}
	if _, writeErr := w.Write(body); writeErr != nil {
		return // the caller is gone
	}
}
