package mount

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/exchange"
)

const (
	headerCacheControl = "Cache-Control"
	headerETag         = "ETag"
	headerServerTiming = "Server-Timing"
	headerVary         = "Vary"
)

// headers says of an answer how it may be kept, what it is by, and how long it took.
//
// Only what a NEAREST method reads by GET, and reaches nothing above GLOBAL, may be kept by the client that asked, and is then
// asked after by its ETag. The tag is weak: it is that of the message, whatever encoding carries it.
type headers struct {
	serverSide

	clock func() time.Time
}

// WrapUnary implements connect.Interceptor.
func (h headers) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		begin := h.clock()
		response, err := next(ctx, request)
		if err != nil {
			return nil, err
		}
		header := response.Header()
		header.Set(headerServerTiming, rpc.Timing("service", h.clock().Sub(begin)))
		message, ok := response.Any().(proto.Message)
		if !ok || !exchange.From(ctx).Get || !revalidates(request.Spec()) {
			header.Set(headerCacheControl, "no-store")
			return response, nil
		}
		tag, err := weakTag(message)
		if err != nil {
			return nil, err
		}
		header.Set(headerETag, tag)
		header.Set(headerCacheControl, "private, no-cache")
		header.Set(headerVary, "Authorization, Domicile-Tenant")
		return response, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (headers) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		conn.ResponseHeader().Set(headerCacheControl, "no-store")
		return next(ctx, conn)
	}
}

// revalidates tells whether answers of a method may be kept by the caller.
func revalidates(spec connect.Spec) bool {
	method, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok {
		return false
	}
	policy := residency.MethodPolicyOf(method)
	return policy.Route == policyv1.Route_ROUTE_NEAREST && policy.Response == policyv1.DataClass_DATA_CLASS_GLOBAL
}

func weakTag(message proto.Message) (string, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return "", fmt.Errorf("tagging an answer: %w", err)
	}
	sum := sha256.Sum256(body)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, nil
}

// withRegion names the region and the release in every answer, refusals included.
func withRegion(next http.Handler, region, release string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set(rpc.HeaderRegion, region)
		if release != "" {
			h.Set(rpc.HeaderRelease, release)
		}
		next.ServeHTTP(w, r)
	})
}
