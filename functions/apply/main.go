// Command apply is the function on a queue of a region. See lambda.Apply.
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
	apply, err := lambda.NewApply(context.Background(), os.LookupEnv, services.All()...)
	if err != nil {
		slog.Error("the function cannot start", slog.Any("error", err))
		os.Exit(1)
	}
	awslambda.Start(apply.Handle)
}
