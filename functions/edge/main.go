// Command edge is the function that calls come in at, behind an HTTP API. See package lambda/edge.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	_ "github.com/domicile-api/domicile/gen/domicile/profile/v1" // its services are routed
	"github.com/domicile-api/domicile/lambda/edge"
)

func main() {
	handler, err := edge.New(edge.FromEnvironment(os.LookupEnv))
	if err != nil {
		slog.Error("the function cannot start", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler.Handle)
}
