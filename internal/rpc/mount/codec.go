package mount

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// maxDepth bounds how deep a request's messages may nest, and so the stack that decoding takes.
const maxDepth = 100

// The names under which Connect looks codecs up: the part of the content type after "application/".
const (
	codecProto       = "proto"
	codecJSON        = "json"
	codecJSONCharset = "json; charset=utf-8"
)

var errNoMessage = errors.New("mount: not a protobuf message")

// strictJSON is JSON in which an unknown field is a mistake: it may be personal data that nobody has classified. Answers leave default
// values out.
type strictJSON struct{ name string }

var _ connect.Codec = strictJSON{}

// Name implements connect.Codec.
func (c strictJSON) Name() string { return c.name }

// Marshal implements connect.Codec.
func (c strictJSON) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend is found by Connect through an interface that it does not export, and saves a copy.
func (strictJSON) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errNoMessage, message)
	}
	return protojson.MarshalOptions{}.MarshalAppend(dst, m) //nolint:wrapcheck // Connect wraps it
}

// Unmarshal implements connect.Codec. An empty body is not a message: over REST it may stand for none, over Connect never.
func (strictJSON) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%w: %T", errNoMessage, message)
	}
	if len(data) == 0 {
		return undecoded.Empty()
	}
	return undecoded.Describe(protojson.UnmarshalOptions{RecursionLimit: maxDepth}.Unmarshal(data, m))
}

// droppingProto is binary protobuf whose unknown fields are dropped at every depth.
type droppingProto struct{}

var _ connect.Codec = droppingProto{}

// Name implements connect.Codec.
func (droppingProto) Name() string { return codecProto }

// Marshal implements connect.Codec.
func (c droppingProto) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend is found by Connect through an interface that it does not export.
func (droppingProto) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errNoMessage, message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m) //nolint:wrapcheck // Connect wraps it
}

// Unmarshal implements connect.Codec.
func (droppingProto) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%w: %T", errNoMessage, message)
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(data, m); err != nil {
		return undecoded.Describe(err)
	}
	residency.DropUnknown(m)
	return nil
}

// codecOptions replaces Connect's own codecs.
func codecOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(strictJSON{codecJSON}),
		connect.WithCodec(strictJSON{codecJSONCharset}),
		connect.WithCodec(droppingProto{}),
	}
}
