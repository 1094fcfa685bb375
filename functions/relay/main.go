// Command relay is the function on the stream of a region's regional table. See lambda.Relay.
package main

import (
	"context"
	"log/slog"
	"os"

	awslambda "github.com/aws/aws-lambda-go/lambda"

	"github.com/domicile-api/domicile/lambda"
	"github.com/domicile-api/domicile/services"
)

func main() {
	relay, err := lambda.NewRelay(context.Background(), os.LookupEnv, services.All()...)
	if err != nil {
		slog.Error("the function cannot start", slog.Any("error", err))
		os.Exit(1)
	}
	awslambda.Start(relay.Handle)
}
