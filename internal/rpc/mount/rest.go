package mount

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/vanguard"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// restCodec is strictJSON for Vanguard, which asks for single fields as well.
type restCodec struct{ *vanguard.JSONCodec }

func newRESTCodec(resolver vanguard.TypeResolver) vanguard.Codec {
	c := vanguard.NewJSONCodec(resolver)
	c.MarshalOptions = protojson.MarshalOptions{Resolver: resolver}
	c.UnmarshalOptions = protojson.UnmarshalOptions{Resolver: resolver, RecursionLimit: maxDepth}
	return restCodec{c}
}

// Unmarshal implements vanguard.Codec.
func (c restCodec) Unmarshal(data []byte, message proto.Message) error {
	if err := c.JSONCodec.Unmarshal(data, message); err != nil {
		return codedDecode(err)
	}
	return codedLoose(refuseLoose(data, message.ProtoReflect().Descriptor()))
}

// UnmarshalField implements vanguard.RESTCodec.
func (c restCodec) UnmarshalField(data []byte, message proto.Message, field protoreflect.FieldDescriptor) error {
	if err := c.JSONCodec.UnmarshalField(data, message, field); err != nil {
		return codedDecode(err)
	}
	if field.Message() != nil && !field.IsList() && !field.IsMap() {
		return codedLoose(refuseLoose(data, field.Message()))
	}
	if string(bytes.TrimSpace(data)) == "null" && !mayBeNull(field) {
		return codedLoose(undecoded.Formless(field.JSONName()))
	}
	return nil
}

// codedLoose is codedDecode for what is described already.
func codedLoose(err error) error {
	if err == nil {
		return nil
	}
	return rpc.ToConnect(asDecodeFault(err))
}

// codedDecode makes a Connect error of it: Vanguard answers 500 for any other.
func codedDecode(err error) error {
	if err == nil {
		return nil
	}
	return rpc.ToConnect(asDecodeFault(undecoded.Describe(err)))
}

func asDecodeFault(err error) *fault.Error {
	if f := undecoded.Fault(err.Error()); f != nil {
		return f
	}
	return fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "%s", "the request does not decode")
}

// Mount is a Connect handler and the path it is mounted on, as a generated NewXServiceHandler returns them.
type Mount struct {
	// Path is "/package.Service/".
	Path string
	// Handler answers Connect, gRPC and gRPC-Web.
	Handler http.Handler
}

// ServiceName returns the full name of the mounted service.
func (m Mount) ServiceName() string { return strings.Trim(m.Path, "/") }

const headerServerTimeout = "X-Server-Timeout"

// serverTimeout is the form of X-Server-Timeout, as the documents have it. Vanguard takes anything that Go reads as a number, also none at
// all, which would only be given up at once.
var serverTimeout = regexp.MustCompile(`^([1-9][0-9]{0,4}(\.[0-9]{1,9})?|0\.[1-9][0-9]{0,8})$`)

// newREST transcodes the google.api.http annotations of the mounted services to gRPC. The target must not be Connect: with that,
// Vanguard 0.4.0 runs the handler with an empty message when a body does not decode, because a reader's failure looks like
// the end of an empty body. gRPC frames its messages, so an empty body is none.
func newREST(mounts []Mount, limit int) (http.Handler, error) {
	services := make([]*vanguard.Service, 0, len(mounts))
	for _, m := range mounts {
		services = append(services, vanguard.NewService(m.Path, m.Handler,
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			vanguard.WithMaxMessageBufferBytes(uint32(limit)), //nolint:gosec // checked by the configuration
		))
	}
	transcoder, err := vanguard.NewTranscoder(services,
		vanguard.WithCodec(newRESTCodec),
		vanguard.WithCompression(codecGzip, newGzip, func() connect.Decompressor { return &gunzip{limit: int64(limit)} }),
		vanguard.WithUnknownHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
		})),
	)
	if err != nil {
		return nil, fmt.Errorf("building the REST transcoder: %w", err)
	}
	query := newQueryForm(mounts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		normalizeContentType(r)
		if f := refuseForm(r, query); f != nil {
			rpc.WriteError(w, r, f)
			return
		}
		// Vanguard 0.4.0 says Content-Encoding: gzip of any answer that the caller would take compressed, also of one that the
		// handler left as it is because it is small. So REST answers are not compressed.
		r.Header.Del("Accept-Encoding")
		transcoder.ServeHTTP(w, r)
	}), nil
}

// refuseForm returns why a request is refused for what Vanguard lets pass; nil if it is not.
func refuseForm(r *http.Request, query queryForm) *fault.Error {
	if values := r.Header[headerServerTimeout]; len(values) > 0 && !serverTimeout.MatchString(values[0]) {
		return fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the header %s is no number of seconds from 0.1 to 99999", headerServerTimeout)
	}
	return query.refuse(r.URL.RawQuery)
}

// normalizeContentType takes what means JSON for JSON: a charset, and RFC 7396's merge patch, which a PATCH with the set
// fields is. On a request without a body the content type means nothing, and clients send all sorts.
func normalizeContentType(r *http.Request) {
	contentType := r.Header.Get("Content-Type")
	switch {
	case r.ContentLength == 0 && (r.Method == http.MethodGet || r.Method == http.MethodDelete):
		r.Header.Del("Content-Type")
	case strings.HasPrefix(contentType, "application/json;"), strings.HasPrefix(contentType, "application/merge-patch+json"):
		r.Header.Set("Content-Type", "application/json")
	}
}
