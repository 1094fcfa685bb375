package rpctest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc/mount"
)

// StreamService is the full name of a service with one method of each kind of stream, all of them answered at home.
const StreamService = "domicile.rpctest.v1.StreamService"

// Text is what the streams carry.
type Text = wrapperspb.StringValue

// streamDescriptor is registered before any test runs: protovalidate walks the registry, and a registration meanwhile would
// lock both out.
var streamDescriptor = describeStreams() //nolint:gochecknoglobals // immutable

// StreamDescriptor returns the service's descriptor.
func StreamDescriptor() protoreflect.ServiceDescriptor { return streamDescriptor }

func describeStreams() protoreflect.ServiceDescriptor {
	method := func(name string, client, server bool) *descriptorpb.MethodDescriptorProto {
		options := &descriptorpb.MethodOptions{}
		proto.SetExtension(options, policyv1.E_Route, policyv1.Route_ROUTE_HOME)
		proto.SetExtension(options, policyv1.E_Idempotency, policyv1.Idempotency_IDEMPOTENCY_READ)
		return &descriptorpb.MethodDescriptorProto{
			Name: new(name), InputType: new(".google.protobuf.StringValue"),
			OutputType:      new(".google.protobuf.StringValue"),
			ClientStreaming: new(client), ServerStreaming: new(server), Options: options,
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("domicile/rpctest/v1/stream.proto"), Package: new("domicile.rpctest.v1"), Syntax: new("proto3"),
		Dependency: []string{"google/protobuf/wrappers.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("StreamService"),
			Method: []*descriptorpb.MethodDescriptorProto{
				method("Count", false, true), method("Join", true, false), method("Echo", true, true),
			},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		panic(fmt.Sprintf("describing the stream service: %v", err))
	}
	if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
		panic(fmt.Sprintf("registering the stream service: %v", err))
	}
	return file.Services().Get(0)
}

// StreamClient calls the stream service.
type StreamClient struct {
	// Count answers "1" to the number asked for; "n!" fails after n. "wait" answers "1" and then waits for the caller to go.
	Count *connect.Client[Text, Text]
	// Join answers the texts together; at "stop" it fails though the client goes on.
	Join *connect.Client[Text, Text]
	// Echo answers each text; at "stop" it ends the stream with an error though the client goes on.
	Echo *connect.Client[Text, Text]
}

// NewStreamClient returns a client of the service at a URL.
func NewStreamClient(client connect.HTTPClient, url string, options ...connect.ClientOption) *StreamClient {
	methods := StreamDescriptor().Methods()
	to := func(name protoreflect.Name) *connect.Client[Text, Text] {
		return connect.NewClient[Text, Text](client, url+"/"+StreamService+"/"+string(name),
			append([]connect.ClientOption{connect.WithSchema(methods.ByName(name))}, options...)...)
	}
	return &StreamClient{Count: to("Count"), Join: to("Join"), Echo: to("Echo")}
}

// Streams is the stream service. Gone is closed when a caller of Count "wait" went away.
type Streams struct{ Gone chan struct{} }

// Mount makes the service's handler.
func (s *Streams) Mount(options ...connect.HandlerOption) mount.Mount {
	path := "/" + StreamService + "/"
	methods := StreamDescriptor().Methods()
	with := func(name protoreflect.Name) []connect.HandlerOption {
		return append([]connect.HandlerOption{connect.WithSchema(methods.ByName(name))}, options...)
	}
	mux := http.NewServeMux()
	mux.Handle(path+"Count", connect.NewServerStreamHandler(path+"Count", s.count, with("Count")...))
	mux.Handle(path+"Join", connect.NewClientStreamHandler(path+"Join", s.join, with("Join")...))
	mux.Handle(path+"Echo", connect.NewBidiStreamHandler(path+"Echo", s.echo, with("Echo")...))
	return mount.Mount{Path: path, Handler: mux}
}

func (s *Streams) count(ctx context.Context, r *connect.Request[Text], stream *connect.ServerStream[Text]) error {
	if r.Msg.GetValue() == "wait" {
		if err := stream.Send(wrapperspb.String("1")); err != nil {
			return err //nolint:wrapcheck // as a handler of a product does
		}
		<-ctx.Done()
		close(s.Gone)
		return ctx.Err()
	}
	text, fails := strings.CutSuffix(r.Msg.GetValue(), "!")
	n, err := strconv.Atoi(text)
	if err != nil {
		return fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "not a number")
	}
	stream.ResponseHeader().Set("Domicile-Consistency", "token")
	stream.ResponseTrailer().Set("X-Counted", strconv.Itoa(n))
	for i := range n {
		if err := stream.Send(wrapperspb.String(strconv.Itoa(i + 1))); err != nil {
			return err //nolint:wrapcheck // as a handler of a product does
		}
	}
	if fails {
		return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "no more")
	}
	return nil
}

func (*Streams) join(_ context.Context, stream *connect.ClientStream[Text]) (*connect.Response[Text], error) {
	var all strings.Builder
	for stream.Receive() {
		if stream.Msg().GetValue() == "stop" {
			return nil, fault.New(errorsv1.Reason_REASON_ETAG_MISMATCH, "stopped")
		}
		all.WriteString(stream.Msg().GetValue())
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return connect.NewResponse(wrapperspb.String(all.String())), nil
}

func (*Streams) echo(_ context.Context, stream *connect.BidiStream[Text, Text]) error {
	for {
		message, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err //nolint:wrapcheck // as a handler of a product does
		case message.GetValue() == "stop":
			return fault.New(errorsv1.Reason_REASON_ETAG_MISMATCH, "stopped")
		}
		if err := stream.Send(message); err != nil {
			return err //nolint:wrapcheck // as a handler of a product does
		}
	}
}
