package rpc

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc/exchange"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// The gRPC status, in trailers.
const (
	grpcStatus  = "Grpc-Status"
	grpcMessage = "Grpc-Message"
	grpcDetails = "Grpc-Status-Details-Bin"
)

// failure finds out why the answer is a failure, and with which HTTP status it leaves.
func (a *answer) failure() (*fault.Error, int) {
	if f := a.x.Failure.Load(); f != nil {
		return f, HTTPStatus(f.Reason)
	}
	// A library has refused. HTTP's own refusals keep their status, which says more than the reason's.
	switch a.status {
	case http.StatusNotFound:
		return libraryFault(errorsv1.Reason_REASON_VERSION_UNAVAILABLE), http.StatusNotFound
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusHTTPVersionNotSupported:
		return libraryFault(errorsv1.Reason_REASON_UNSUPPORTED), a.status
	}
	var f *fault.Error
	if a.protocol == REST {
		f = restFault(a.held.Bytes(), a.x.Reached.Load())
	} else {
		f = connectFault(a.held.Bytes(), a.x)
	}
	return f, HTTPStatus(f.Reason)
}

func libraryFault(reason errorsv1.Reason) *fault.Error {
	text := codedTexts[reason]
	if text == "" {
		text = "an internal error"
	}
	return fault.New(reason, "%s", text)
}

// restFault reads what Vanguard answered. It calls mistakes of the caller, such as an unknown query parameter, internal errors;
// what has not reached a handler is none.
func restFault(body []byte, reached bool) *fault.Error {
	message := &status.Status{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, message); err != nil {
		message = &status.Status{}
	}
	if f := statusFault(message); f != nil {
		return f
	}
	if f := undecoded.Fault(message.GetMessage()); f != nil {
		return f
	}
	code := connect.Code(uint32(message.GetCode())) //nolint:gosec // an unknown code has no reason
	switch {
	case reached:
		return codeFault(code)
	case code == connect.CodeResourceExhausted, code == connect.CodeUnavailable, code == connect.CodeDeadlineExceeded,
		code == connect.CodeCanceled:
		return codeFault(code)
	default:
		return fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the body, path or query does not decode")
	}
}

// statusFault returns the fault that a status was made of, if it was one of this project.
func statusFault(message *status.Status) *fault.Error {
	coded := connect.NewError(connect.Code(uint32(message.GetCode())), nil) //nolint:gosec // not used as a number
	for _, packed := range message.GetDetails() {
		if detail, err := connect.NewErrorDetail(packed); err == nil {
			coded.AddDetail(detail)
		}
	}
	if infoOf(coded) == nil {
		return nil
	}
	f := codedFault(coded)
	f.Message = message.GetMessage()
	return f
}

// connectFault reads an error of the Connect protocol that no interceptor made.
func connectFault(body []byte, x *exchange.Exchange) *fault.Error {
	var message connectError
	if err := json.Unmarshal(body, &message); err != nil {
		return internalFault(err)
	}
	if f := undecoded.Fault(message.Message); f != nil {
		return f
	}
	var code connect.Code
	if err := code.UnmarshalText([]byte(message.Code)); err != nil {
		return internalFault(err)
	}
	if f := statusFault(message.status(code)); f != nil {
		return f
	}
	return unreachedFault(code, x)
}

// status returns the error as google.rpc.Status.
func (e connectError) status(code connect.Code) *status.Status {
	out := &status.Status{Code: int32(code), Message: e.Message} //nolint:gosec // 1 to 16
	for _, d := range e.Details {
		if value, err := connect.DecodeBinaryHeader(d.Value); err == nil {
			out.Details = append(out.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: value})
		}
	}
	return out
}

// unreachedFault is codeFault, but what a library calls internal before anything was reached is a request that breaks its protocol.
func unreachedFault(code connect.Code, x *exchange.Exchange) *fault.Error {
	if !x.Reached.Load() && (code == connect.CodeInternal || code == connect.CodeUnknown) {
		return fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks the rules of its protocol")
	}
	return codeFault(code)
}

func codeFault(code connect.Code) *fault.Error {
	reason, ok := codedReasons[code]
	if !ok {
		reason = errorsv1.Reason_REASON_INTERNAL
	}
	return libraryFault(reason)
}

// webFailed tells whether headers are a gRPC-Web answer that is nothing but a failure without a reason.
func webFailed(h http.Header) bool {
	code := h.Get(grpcStatus)
	return code != "" && code != "0" && h.Get(grpcDetails) == ""
}

// finishWebHeaders sends a gRPC-Web failure that stands in the headers, its reason added.
func (a *answer) finishWebHeaders() {
	mendTrailers(a.Header(), "", a.x)
	a.w.WriteHeader(a.status)
}

// mendTrailers adds a reason to a gRPC status that has none: one that the library gave, not an interceptor.
func mendTrailers(h http.Header, prefix string, x *exchange.Exchange) {
	number := h.Get(prefix + grpcStatus)
	if number == "" || number == "0" || h.Get(prefix+grpcDetails) != "" {
		return
	}
	f := x.Failure.Load()
	if f == nil {
		f = grpcFault(number, h.Get(prefix+grpcMessage), x)
	}
	for name, value := range grpcTrailers(f) {
		h.Set(prefix+name, value)
	}
}

func grpcFault(number, message string, x *exchange.Exchange) *fault.Error {
	if text, err := url.PathUnescape(message); err == nil {
		if f := undecoded.Fault(text); f != nil {
			return f
		}
	}
	code, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return internalFault(err)
	}
	return unreachedFault(connect.Code(code), x)
}

// grpcTrailers returns what stands in the trailers of a failed gRPC call.
func grpcTrailers(f *fault.Error) map[string]string {
	coded := ToConnect(f)
	message := &status.Status{
		Code: int32(coded.Code()), Message: coded.Message(), Details: anyDetails(coded), //nolint:gosec // 1 to 16
	}
	trailers := map[string]string{
		grpcStatus:  strconv.FormatUint(uint64(coded.Code()), 10),
		grpcMessage: percentEncode(coded.Message()),
	}
	if details, err := proto.Marshal(message); err == nil {
		trailers[grpcDetails] = connect.EncodeBinaryHeader(details)
	}
	for name, values := range coded.Meta() {
		trailers[name] = values[0]
	}
	return trailers
}

// finishEnvelope sends a last envelope that was held: as it is when it has a reason or no error, and else with one.
func (a *answer) finishEnvelope() {
	body := a.held.Bytes()
	if f := a.envelopeFault(body); f != nil {
		if a.protocol == ConnectStream {
			body = connectEnd(f)
		} else {
			body = webEnd(f)
		}
	}
	if _, err := a.w.Write(body); err != nil {
		return // the caller is gone
	}
}

// envelopeFault returns why the envelope needs a reason; nil if it needs none.
func (a *answer) envelopeFault(envelope []byte) *fault.Error {
	const head = 5
	if len(envelope) < head || envelope[0]&1 != 0 || int(binary.BigEndian.Uint32(envelope[1:head])) != len(envelope)-head {
		return nil // compressed, so made by a handler's interceptors, or not whole
	}
	payload := envelope[head:]
	if a.protocol == ConnectStream {
		var end struct {
			Error *connectError `json:"error"`
		}
		if json.Unmarshal(payload, &end) != nil || end.Error == nil || len(end.Error.Details) > 0 {
			return nil //nolint:nilerr // it needs no mending, or cannot be mended
		}
		if f := a.x.Failure.Load(); f != nil {
			return f
		}
		var code connect.Code
		if err := code.UnmarshalText([]byte(end.Error.Code)); err != nil {
			return internalFault(err)
		}
		return unreachedFault(code, a.x)
	}
	h := http.Header{}
	for line := range strings.SplitSeq(string(payload), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	if !webFailed(h) {
		return nil
	}
	if f := a.x.Failure.Load(); f != nil {
		return f
	}
	return grpcFault(h.Get(grpcStatus), h.Get(grpcMessage), a.x)
}

func connectEnd(f *fault.Error) []byte {
	var end struct {
		Error connectError `json:"error"`
	}
	end.Error = wireError(ToConnect(f))
	payload, err := json.Marshal(end)
	if err != nil {
		payload = []byte(`{"error":{"code":"internal"}}`)
	}
	return seal(flagConnectEnd, payload)
}

func webEnd(f *fault.Error) []byte {
	var b strings.Builder
	for name, value := range grpcTrailers(f) {
		b.WriteString(strings.ToLower(name) + ": " + value + "\r\n")
	}
	return seal(flagWebEnd, []byte(b.String()))
}

// seal puts a payload into an envelope of gRPC-Web or Connect.
func seal(flags byte, payload []byte) []byte {
	out := make([]byte, 0, 5+len(payload))
	out = append(out, flags)
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload))) //nolint:gosec // an error of ours
	return append(out, payload...)
}
