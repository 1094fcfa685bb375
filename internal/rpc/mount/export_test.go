package mount

import (
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// DecodeJSON returns the text of the error of Connect's JSON codec.
func DecodeJSON(body []byte, m proto.Message) string {
	return textOf(strictJSON{codecJSON}.Unmarshal(body, m))
}

// DecodeProto returns the text of the error of the binary codec.
func DecodeProto(body []byte, m proto.Message) string {
	return textOf(droppingProto{}.Unmarshal(body, m))
}

// DecodeREST returns the text of the error of the REST codec.
func DecodeREST(body []byte, m proto.Message) string {
	return textOf(newRESTCodec(protoregistry.GlobalTypes).Unmarshal(body, m))
}

func textOf(err error) string {
	var coded *connect.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &coded):
		return coded.Message()
	default:
		return err.Error()
	}
}

// LooseIn is the JSON name of a field that refuseLoose refuses.
func LooseIn(data []byte, message protoreflect.MessageDescriptor) string {
	err := refuseLoose(data, message)
	if err == nil {
		return ""
	}
	return undecoded.Fault(err.Error()).Violations[0].Field
}
