package rpc

import (
	"net/http"
	"strings"
)

// Protocol is how a request asks to be answered.
type Protocol uint8

// The protocols. What is none of the others is REST, so that a browser or a scanner gets an error it can read.
const (
	REST Protocol = iota
	ConnectUnary
	ConnectStream
	GRPC
	GRPCWeb
)

// String returns the protocol's name as metrics and logs have it.
func (p Protocol) String() string {
	switch p {
	case ConnectUnary:
		return "connect"
	case ConnectStream:
		return "connect-stream"
	case GRPC:
		return "grpc"
	case GRPCWeb:
		return "grpc-web"
	default:
		return "rest"
	}
}

// ProtocolOf tells a request's protocol by its content type and, for Connect unary, by the form of its path: the same body
// with the same content type is Connect at /package.Service/Method and REST elsewhere.
func ProtocolOf(r *http.Request) Protocol {
	contentType := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		return GRPCWeb
	case strings.HasPrefix(contentType, "application/grpc"):
		return GRPC
	case strings.HasPrefix(contentType, "application/connect+"):
		return ConnectStream
	case IsProcedure(r.URL.Path):
		return ConnectUnary
	default:
		return REST
	}
}

// IsProcedure tells whether a path has the form /package.Service/Method.
func IsProcedure(path string) bool {
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	service, method, ok := strings.Cut(path[1:], "/")
	if !ok || !strings.Contains(service, ".") {
		return false
	}
	for part := range strings.SplitSeq(service, ".") {
		if !isIdentifier(part) {
			return false
		}
	}
	return isIdentifier(method)
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
