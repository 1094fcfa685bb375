// Command infra writes the CloudFormation templates of a deployment: the app that the CDK command runs.
//
// Its input is the topology file, named by the context value "domicile:topology" or DOMICILE_TOPOLOGY, and the other context values that
// cdk.json has with an empty default. cdk's -c sets one for a single run.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/domicile"
	"github.com/domicile-api/domicile/infra/guardrail"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "infra: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	cfg, err := domicile.FromContext(app.Node())
	if err != nil {
		return err
	}
	d, err := domicile.New(cfg)
	if err != nil {
		return err
	}
	if _, err := domicile.NewPlatform(app, d); err != nil {
		return err
	}
	app.Synth(nil)
	if folder := os.Getenv("DOMICILE_POLICIES"); folder != "" {
		return guardrail.Write(d, folder)
	}
	return nil
}
