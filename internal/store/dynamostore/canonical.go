package dynamostore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// canonical makes a request the same to the byte whenever it is made. The SDK writes maps in a random order, and what DynamoDB compares when
// a client request token comes again it does not say.
func canonical(o *dynamodb.Options) {
	o.APIOptions = append(slices.Clip(o.APIOptions), func(stack *middleware.Stack) error {
		if err := stack.Serialize.Add(middleware.SerializeMiddlewareFunc("CanonicalBody", sortBody), middleware.After); err != nil {
			return fmt.Errorf("setting up a request: %w", err)
		}
		return nil
	})
}

// sortBody writes the request's body with the names of its fields in order.
func sortBody(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (
	middleware.SerializeOutput, middleware.Metadata, error,
) {
	var none middleware.SerializeOutput
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return none, middleware.Metadata{}, fmt.Errorf("a request of the type %T", in.Request)
	}
	var body any
	if err := json.NewDecoder(req.GetStream()).Decode(&body); err != nil {
		return none, middleware.Metadata{}, fmt.Errorf("reading a request: %w", err)
	}
	sorted, err := json.Marshal(body)
	if err != nil {
		return none, middleware.Metadata{}, fmt.Errorf("writing a request: %w", err)
	}
	if in.Request, err = req.SetStream(bytes.NewReader(sorted)); err != nil {
		return none, middleware.Metadata{}, fmt.Errorf("writing a request: %w", err)
	}
	return next.HandleSerialize(ctx, in) //nolint:wrapcheck // It is a step of the SDK's own.
}
