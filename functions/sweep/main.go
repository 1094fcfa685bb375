// Command sweep is the function that a schedule calls each minute. See lambda.Sweep.
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
	sweep, err := lambda.NewSweep(context.Background(), os.LookupEnv, services.All()...)
	if err != nil {
		slog.Error("the function cannot start", slog.Any("error", err))
		os.Exit(1)
	}
	awslambda.Start(sweep.Handle)
}
