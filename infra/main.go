// Command infra writes the CloudFormation templates of a deployment: the app that the CDK command runs.
//
// Its input is the topology file, named by the context value "domicile:topology" or DOMICILE_TOPOLOGY, and the other context values that
// cdk.json has with an empty default. cdk's -c sets one for a single run.
package main

import (
	"fmt"
	"os"
	"path/filepath"

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
	cfg, err := configOf(app.Node())
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
	return writePolicies(d)
}

// writePolicies writes the policies of package guardrail into the folder that DOMICILE_POLICIES names, if it names one.
func writePolicies(d *domicile.Deployment) error {
	folder := os.Getenv("DOMICILE_POLICIES")
	if folder == "" {
		return nil
	}
	files, err := guardrail.Files(d)
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil { //nolint:gosec // for people to read
			return fmt.Errorf("writing a policy: %w", err)
		}
	}
	return nil
}
